"""Does bfloat16 train as well as float32? Held-out figures of both, beside float32's own spread over seeds.

python3 bench/bench_precision.py FOLDER [--precision bfloat16] [--seeds 3] [--batches 300] [--width 1.0]
    [--test_vectors 120] [--recipe sharp|2017] [--json FILE]

Trains the recipe from each seed in both precisions, one training after the other, and takes the mean of the
last three evaluations (after 60%, 80% and 100% of the batches).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_quality import FIGURES, ROOT, options_of, sampled

LAST = 3  # evaluations that are averaged


def train(precision: str, seed: int, args: argparse.Namespace, folder: str) -> dict[str, float]:
    """Train once; the mean of the last evaluations of each figure."""
    words = [
        *options_of(args.recipe),  # first: what follows holds
        *("--run=train", f"--dataset={os.path.abspath(args.folder)}", f"--max_batches={args.batches}"),
        *("--train_time=0", f"--precision={precision}", f"--random_seed={seed}", f"--width={args.width}"),
        *(f"--test_vectors={args.test_vectors}", f"--summary_period={args.batches // 5}"),
        *(f"--{name}_dir={Path(folder, name)}" for name in ("train", "checkpoint", "summary")),
    ]
    done = subprocess.run(
        [sys.executable, ROOT / "srez_main.py", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the training ended with code {done.returncode}:\n{done.stdout}{done.stderr}")
    rows = sampled(Path(folder, "checkpoint", "metrics.jsonl"))[-LAST:]
    return {name: statistics.mean(row[name] for row in rows) for name in FIGURES}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="pictures to train on")
    parser.add_argument("--precision", default="bfloat16", choices=("bfloat16", "float16"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--test_vectors", type=int, default=120)
    parser.add_argument("--recipe", default="sharp")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {"float32": [], args.precision: []}
    for seed in range(args.seeds):
        for precision, rows in found.items():
            with tempfile.TemporaryDirectory() as folder:
                rows.append(train(precision, seed, args, folder))
            shown = ", ".join(f"{name} {value:.3f}" for name, value in rows[-1].items())
            print(f"seed {seed}, {precision}: {shown}", flush=True)
    print(f"{'':<14}{'float32':>9}{args.precision:>10}{'difference':>12}{'spread of float32':>20}")
    for name in FIGURES:
        values = {precision: [row[name] for row in rows] for precision, rows in found.items()}
        means = {precision: statistics.mean(v) for precision, v in values.items()}
        spread = statistics.stdev(values["float32"]) if args.seeds > 1 else float("nan")
        difference = means[args.precision] - means["float32"]
        print(
            f"{name:<14}{means['float32']:>9.3f}{means[args.precision]:>10.3f}{difference:>+12.3f}{spread:>20.3f}"
        )
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
