"""Does a long training keep its size? Memory, open files and threads of a process, over time.

python3 bench/soak.py [--minutes 60] [--dataset synthetic] [--width 0.125] [--json FILE] [--plot FILE]

Runs `srez_main.py --run=train` with sample grids, lines of figures and checkpoints as often as in a real
training of many more hours, and looks into /proc once a second. The first quarter, at most ten minutes, is
for warming up (buffers, the drawn faces that are kept). After it each figure must be flat: its trend, a line
through all samples by least squares, may not rise by more than 3% of the mean, and the mean of the last tenth
may not be more than 3% above that of the first. Exit code 0: flat; 1: not, or the training failed.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 0.03
WARM_UP = 0.25, 10.0  # share of the time, and minutes at most
ENDING = 2  # looks that may fall into the end of the process
FIGURES = ("resident, MB", "open files", "threads")
# checkpoints, grids and lines of 100 hours at the default periods come in one
PERIODS = {"checkpoint_period": 500, "summary_period": 100, "log_period": 10, "checkpoint_minutes": 0}


@dataclasses.dataclass(frozen=True)
class Trend:
    """One figure after the warm-up: means of its first and last tenth, mean, rise along a fitted line."""

    first: float
    last: float
    mean: float
    rise: float
    per_hour: float

    @property
    def flat(self) -> bool:
        """Whether neither the line nor the ends rise by more than TOLERANCE; falling is no leak."""
        return max(self.rise, self.last - self.first) <= TOLERANCE * self.mean


def trend(seconds: list[float], values: list[float]) -> Trend:
    """The trend of values over time."""
    slope = statistics.linear_regression(seconds, values).slope
    tenth = max(1, len(values) // 10)
    first, last = statistics.mean(values[:tenth]), statistics.mean(values[-tenth:])
    rise = slope * (seconds[-1] - seconds[0])
    return Trend(first, last, statistics.mean(values), rise, slope * 3600)


def look(pid: int) -> tuple[float, int, int]:
    """Resident memory in MB, open files and threads of a process. Raises OSError once it has ended."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    if "VmRSS" not in status:
        raise ProcessLookupError(pid)
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"])


def watch(words: list[str], minutes: float, every: float) -> tuple[list[tuple], int]:
    """A training as [(seconds, resident MB, open files, threads)] from its first batch on; its exit code.

    Without the last looks: a process that ends frees what it has, which would hide a rise.
    """
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "screen.txt"), "w+") as screen:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "srez_main.py"), "--run=train", *words, f"--train_time={minutes}"],
            cwd=folder,
            stdout=screen,
            stderr=subprocess.STDOUT,
        )
        seen: list[tuple] = []
        metrics, start = Path(folder, "checkpoint", "metrics.jsonl"), None
        try:
            while process.poll() is None:
                if start is None and metrics.exists() and metrics.read_text().count("\n") > 1:
                    start = time.monotonic()
                if start is not None:
                    try:
                        seen.append((time.monotonic() - start, *look(process.pid)))
                    except OSError:  # it has just ended
                        break
                time.sleep(every)
        finally:
            process.terminate()
            code = process.wait()
        screen.seek(0)
        print("\n".join(screen.read().splitlines()[-3:]))
    return seen[:-ENDING], code


def after_warm_up(seen: list[tuple]) -> list[tuple]:
    """The samples that count."""
    end = min(WARM_UP[0] * seen[-1][0], 60 * WARM_UP[1])
    return [sample for sample in seen if sample[0] >= end]


def plot(seen: list[tuple], path: str) -> None:
    """One small graph a figure, over minutes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(FIGURES), 1, sharex=True, figsize=(7, 6), layout="constrained")
    for axis, name, values in zip(axes, FIGURES, list(zip(*seen, strict=True))[1:], strict=True):
        axis.plot([sample[0] / 60 for sample in seen], values, linewidth=0.8)
        axis.axvline(after_warm_up(seen)[0][0] / 60, color="grey", linestyle=":")
        axis.set_ylim(0, 1.2 * max(values))
        axis.set_ylabel(name)
    axes[-1].set_xlabel("minutes since the first batch")
    figure.savefig(path, dpi=100)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--dataset", default="synthetic")
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between looks")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE", help="a PNG")
    args = parser.parse_args()
    dataset = args.dataset if args.dataset == "synthetic" else str(Path(args.dataset).resolve())
    words = [f"--dataset={dataset}", f"--width={args.width}"]
    words += [f"--{name}={value}" for name, value in PERIODS.items()]
    seen, code = watch(words, args.minutes, args.every)
    if code != 0 or len(seen) < 20:
        print(f"the training ended with {code} after {len(seen)} looks")
        return 1
    counted = after_warm_up(seen)
    columns = list(zip(*counted, strict=True))
    trends = {name: trend(columns[0], columns[i + 1]) for i, name in enumerate(FIGURES)}
    print(f"{len(counted)} looks in {(counted[-1][0] - counted[0][0]) / 60:.1f} minutes after the warm-up")
    print(f"{'':<14}{'first':>9}{'last':>9}{'rise':>9}{'per hour':>10}")
    for name, t in trends.items():
        share = t.rise / t.mean
        print(
            f"{name:<14}{t.first:>9.1f}{t.last:>9.1f}{share:>9.2%}{t.per_hour:>10.2f}"
            f"  {'flat' if t.flat else 'NOT FLAT'}"
        )
    if args.json:
        rows = {name: dataclasses.asdict(t) | {"flat": t.flat} for name, t in trends.items()}
        content = {"minutes": args.minutes, "width": args.width, "figures": rows, "samples": seen}
        Path(args.json).write_text(json.dumps(content) + "\n")
    if args.plot:
        plot(seen, args.plot)
    return 0 if all(t.flat for t in trends.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
