"""The training step on a GPU, beside PyTorch at its best and JAX: bench_step.py --device gpu."""

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
WARMING = 2  # rounds that do not count
OURS, BEST = "srez", "PyTorch"


class Row(NamedTuple):
    """A contender of one batch size and precision, and what was measured: seconds of a step, by rounds."""

    name: str
    batch_size: int
    precision: str
    seconds: list[float]
    memory_mb: float

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


class Child:
    """A contender, and its process (see contender.py) once it is started."""

    def __init__(self, name: str, device: str, framework: str, mode: str, options: dict[str, Any]):
        self.name, self.framework = name, framework
        self.chosen = {"framework": framework, "mode": mode, "options": options, "device": device}
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Begin to compile."""
        path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "contender.py"), json.dumps(self.chosen)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )

    def answer(self) -> dict[str, float]:
        """Its next answer; {} where it has ended, of which its standard error tells."""
        line = self.process.stdout.readline()
        return json.loads(line) if line else {}

    def round(self) -> dict[str, float]:
        """Seconds of a step and the most memory, from one more round; {} where it has ended."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        """End it."""
        if self.process:
            self.process.kill()
            self.process.communicate()


def contenders(args: argparse.Namespace, size: int, precision: str, first: bool) -> list[Child]:
    """The contenders of a batch size. first: also what is timed once only."""
    usual = {"batch_size": size, "precision": precision}
    chosen = [(OURS, "srez", "chunk", usual)]
    if first:
        other = usual | {"loss_func": args.objective}
        chosen += [(f"{OURS} {args.objective}", "srez", "chunk", other)]
        chosen += [(f"{OURS} step by step", "srez", "step", usual)]
    if importlib.util.find_spec("torch"):
        chosen += [(f"{BEST} {mode}", "torch", mode, usual) for mode in ("eager", "graph", "compiled")]
    if importlib.util.find_spec("jax"):
        chosen += [("JAX", "jax", "scan", usual)]
    return [Child(name, args.device, *what) for name, *what in chosen]


def take_turns(children: list[Child], size: int, precision: str, rounds: int) -> list[Row]:
    """A row for each that lives to the end; in every round one after the other."""
    living = []
    # XLA tries kernels out while it compiles: ours one after the other, then the others beside each other
    groups = [[child] for child in children if child.framework == "srez"]
    groups.append([child for child in children if child.framework != "srez"])
    for group in groups:
        for child in group:
            child.start()
        for child in group:
            ready = child.answer()
            state = f"ready after {ready['ready']:.0f} s" if ready else "failed, see above"
            print(f"batch {size}, {precision}: {child.name} {state}", file=sys.stderr, flush=True)
            living += [child] if ready else []
    measured = [[child.round() for child in living] for _ in range(WARMING + rounds)]
    rows = []
    for child, answers in zip(living, zip(*measured, strict=True), strict=True):
        if all(answers):
            seconds = [answer["seconds"] for answer in answers[WARMING:]]
            rows.append(Row(child.name, size, precision, seconds, answers[-1]["memory_mb"]))
    return rows


def report(rows: list[Row], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Print the table; its rows. Ratios are to the fastest of PyTorch's, of the same batch and precision."""
    print(f"{'':<22}{'batch':>6}{'precision':>10}{'ms':>9}{'min':>9}{'max':>9}{'images/s':>10}", end="")
    print(f"{'GPU MB':>9}{'/ PyTorch':>11}")
    table = []
    for row in rows:
        alike = [r for r in rows if (r.batch_size, r.precision) == (row.batch_size, row.precision)]
        peers = [r.median for r in alike if r.name.startswith(BEST)]
        ratio = row.median / min(peers) if peers else None
        low, high = (1e3 * f(row.seconds) for f in (min, max))
        print(
            f"{row.name:<22}{row.batch_size:>6}{row.precision:>10}{1e3 * row.median:>9.3f}"
            f"{low:>9.3f}{high:>9.3f}{row.batch_size / row.median:>10.0f}"
            f"{row.memory_mb:>9.0f}{f'{ratio:.2f}' if ratio else '':>11}"
        )
        table.append(row._asdict() | {"median": row.median, "ratio_to_pytorch": ratio})
        ours = next((r.median for r in alike if r.name == OURS), None)
        if ours and row.name == f"{OURS} {args.objective}":
            print(f"  {args.objective} / default: {row.median / ours:.2f}")
    return table


def measure(args: argparse.Namespace) -> None:
    """Time every batch size and precision; print the table, and write it as JSON if asked to."""
    rows: list[Row] = []
    for precision in args.precision:
        for size in args.batch_size:
            children = contenders(args, size, precision, first=size == args.batch_size[0])
            try:
                rows += take_turns(children, size, precision, args.rounds)
            finally:
                for child in children:
                    child.close()
    table = report(rows, args)
    if args.json:
        Path(args.json).write_text(json.dumps({"rows": table}, indent=1) + "\n")


def show_profile(args: argparse.Namespace) -> None:
    """Print what the GPU does in a step of each batch size and precision, in compiled chunks."""
    from contender import CHUNKS, STEPS, contender
    from profile_gpu import profile

    for precision in args.precision:
        for size in args.batch_size:
            print(f"batch {size}, {precision}", flush=True)
            options = {"batch_size": size, "precision": precision}
            profile(contender("srez", "chunk", options, args.device).run, CHUNKS * STEPS)
