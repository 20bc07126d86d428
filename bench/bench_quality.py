"""How long until the pictures are good? Minutes of training to a given PSNR and SSIM of the held-out faces.

python3 bench/bench_quality.py FOLDER [--recipes sharp 2017] [--psnr 24.0] [--ssim 0.75] [--minutes 15]
    [--precision float32] [--test_vectors 240] [--period 100] [--output quality] [--all] [--json FILE]
python3 bench/bench_quality.py FOLDER --recipes sharp --precision bfloat16 --after 1 3 10 [--step_rate 9000]

Trains each recipe from scratch (a preset's name, or 2017: the defaults), one after the other, and stops it
where both figures are reached, unless --all is given. The minutes are the training's own: from its first
batch, with everything that it does in between, samples and checkpoints too. Writes curve.csv and curve.png
into --output. --after: train for the longest of these minutes and print the last figures until each, images/s
from the first line of figures to the last, beside the bare step's where --step_rate names them (images/s, as
bench_step.py prints them), and seconds from the command to the first line.
"""

import argparse
import csv
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from srez.runs.run import read_metrics
from srez.runs.trained import read_description

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ("psnr", "ssim", "consistency")
UNITS = {"psnr": "PSNR, dB", "ssim": "SSIM"}


def options_of(recipe: str) -> list[str]:
    """The options of a recipe's command line."""
    return [] if recipe == "2017" else [f"--preset={recipe}"]


def sampled(metrics: Path) -> list[dict[str, float]]:
    """The lines of a metrics.jsonl that have figures of the held-out faces."""
    return [row for row in read_metrics(str(metrics)) if "psnr" in row] if metrics.exists() else []


def reached(row: dict[str, float], psnr: float, ssim: float) -> bool:
    """Whether a line has both figures."""
    return row["psnr"] >= psnr and row["ssim"] >= ssim


def last_until(rows: list[dict[str, float]], minutes: float) -> dict[str, float] | None:
    """The last of the lines that were written within so many minutes."""
    return next((row for row in reversed(rows) if row["minutes"] <= minutes), None)


def images_per_second(lines: list[dict[str, float]], pictures: int) -> float:
    """From the first line of figures after batch 0 to the last, for so many pictures a batch."""
    first, last = lines[1], lines[-1]
    if first == last:
        return math.nan
    return pictures * (last["batch"] - first["batch"]) / (60 * (last["minutes"] - first["minutes"]))


def print_rates(recipe: str, folder: Path, first: float, step_rate: float) -> None:
    """images/s of the whole training, and how long the first line took."""
    options = read_description(str(folder / "checkpoint"))["options"]
    pictures = options["batch_size"] * max(1, options["critic_iters"])
    rate = images_per_second(read_metrics(str(folder / "checkpoint" / "metrics.jsonl")), pictures)
    share = f", {rate / step_rate:.0%} of the bare step's" if step_rate else ""
    print(f"{recipe}: {rate:.0f} images/s{share}; first line after {first:.1f} s")


def train(recipe: str, args: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    """Train one recipe; its sampled lines after batch 0."""
    start, first = time.monotonic(), 0.0
    words = [
        *options_of(recipe),  # first: what follows holds
        *("--run=train", f"--dataset={os.path.abspath(args.folder)}", f"--train_time={args.minutes}"),
        *(f"--precision={args.precision}", f"--test_vectors={args.test_vectors}"),
        f"--summary_period={args.period}",
        *(f"--{name}_dir={folder / name}" for name in ("train", "checkpoint", "summary")),
    ]
    log = (folder / "output.log").open("w")
    process = subprocess.Popen([sys.executable, ROOT / "srez_main.py", *words], stdout=log, stderr=log)
    told, metrics = 0, folder / "checkpoint" / "metrics.jsonl"
    while process.poll() is None:
        time.sleep(0.2)
        if not first and metrics.exists() and any(row["batch"] for row in read_metrics(str(metrics))):
            first = time.monotonic() - start
        rows = sampled(metrics)
        for row in rows[max(told, 1) :]:
            print(
                f"{recipe:<8}{row['minutes']:>7.1f} min {row['batch']:>6} batches "
                f"{row['psnr']:>7.2f} dB {row['ssim']:>7.3f}",
                flush=True,
            )
        told = len(rows)
        if not args.all and any(reached(row, args.psnr, args.ssim) for row in rows[1:]):
            process.send_signal(signal.SIGTERM)
            process.wait()
    if process.returncode not in (0, 75):
        raise SystemExit(
            f"{recipe} ended with code {process.returncode}:\n{(folder / 'output.log').read_text()}"
        )
    if args.after:
        print_rates(recipe, folder, first, args.step_rate)
    return sampled(metrics)[1:]


def write_curves(curves: dict[str, list[dict[str, float]]], args: argparse.Namespace) -> None:
    """curve.csv and curve.png."""
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    with (output / "curve.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["recipe", "batch", "minutes", *FIGURES])
        for recipe, rows in curves.items():
            table.writerows([recipe, *(row[name] for name in ("batch", "minutes", *FIGURES))] for row in rows)
    figure, plots = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for plot, name in zip(plots, ("psnr", "ssim"), strict=True):
        for recipe, rows in curves.items():
            plot.plot([r["minutes"] for r in rows], [r[name] for r in rows], marker=".", label=recipe)
        plot.axhline(getattr(args, name), color="grey", linewidth=0.8, linestyle="--")
        plot.set(xlabel="minutes", ylabel=UNITS[name])
        plot.legend()
    figure.savefig(output / "curve.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="pictures to train on")
    parser.add_argument("--recipes", nargs="+", default=["sharp", "2017"])
    parser.add_argument("--psnr", type=float, default=24.0)
    parser.add_argument("--ssim", type=float, default=0.75)
    parser.add_argument("--minutes", type=float, default=15.0, help="at most, for each recipe")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--test_vectors", type=int, default=240)
    parser.add_argument("--period", type=int, default=100, help="batches between two looks")
    parser.add_argument("--output", default="quality")
    parser.add_argument("--all", action="store_true", help="train on where the figures are reached")
    parser.add_argument("--after", type=float, nargs="+", default=[], help="minutes; implies --all")
    parser.add_argument("--step_rate", type=float, default=0.0, help="images/s of the bare step")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    if args.after:
        args.minutes, args.all = max(args.after), True
    curves = {}
    for recipe in args.recipes:
        with tempfile.TemporaryDirectory() as folder:
            curves[recipe] = train(recipe, args, Path(folder))
        write_curves(curves, args)
    for recipe, rows in curves.items():
        for minutes in args.after:
            # the last look of a training lies just beyond its limit
            row = rows[-1] if minutes == args.minutes else last_until(rows, minutes)
            figures = (
                f"{row['psnr']:.2f} dB, {row['ssim']:.3f}, batch {row['batch']}" if row else "no look yet"
            )
            print(f"{recipe}: after {minutes:g} minutes {figures}")
        first = next((row for row in rows if reached(row, args.psnr, args.ssim)), None)
        best = max(rows, key=lambda row: row["psnr"])
        goal = f"{args.psnr:g} dB and {args.ssim:g}"
        found = f"after {first['minutes']:.1f} minutes, {first['batch']} batches" if first else "not reached"
        print(
            f"{recipe}: {goal} {found}; best {best['psnr']:.2f} dB, {best['ssim']:.3f} "
            f"after {best['minutes']:.1f} minutes"
        )
    if args.json:
        Path(args.json).write_text(json.dumps(curves, indent=1) + "\n")


if __name__ == "__main__":
    main()
