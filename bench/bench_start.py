"""Start-up, memory, and what the loop costs beside its steps.

python3 bench/bench_start.py [--dataset synthetic] [--precision float32] [--batches 40] [--json FILE]

Times of whole commands: --help, a wrong flag, and a training's first batch (from the command to the line of
figures of batch 1), whose memory is watched as it goes on. Then the cost of one line of figures, one sample
grid and one checkpoint, put beside that of the steps at the default periods, and what it costs within every
step to look for losses and gradients that are not finite.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOOK = "look for what is not finite"
MAIN = [sys.executable, str(ROOT / "srez_main.py")]


def seconds_of(words: list[str], folder: str) -> float:
    """How long a command takes."""
    start = time.perf_counter()
    done = subprocess.run([*MAIN, *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 2):
        raise SystemExit(f"{' '.join(words)} ended with code {done.returncode}:\n{done.stderr}")
    return time.perf_counter() - start


def training(words: list[str], folder: str) -> list[tuple[float, int, float]]:
    """A training as [(seconds since the command, batch, resident GB)], one for each line of figures."""
    start, seen = time.perf_counter(), []
    process = subprocess.Popen(
        [*MAIN, "--run=train", *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    metrics = Path(folder, "checkpoint", "metrics.jsonl")
    lines = 0
    while process.poll() is None:
        text = metrics.read_text().splitlines() if metrics.exists() else []
        for line in text[lines:]:
            row = json.loads(line)
            seen.append((time.perf_counter() - start, row["batch"], resident(process.pid)))
        lines = len(text)
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"the training ended with code {process.returncode}")
    return seen


def resident(pid: int) -> float:
    """Memory that a process holds now, GB; 0 once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(x.split()[1]) / 2**20 for x in status.splitlines() if x.startswith("VmRSS")), 0.0)


def beside_the_step(dataset: str, precision: str) -> dict[str, float]:
    """Seconds of a step, a line of figures, a sample grid and a checkpoint, in this process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    import srez_input
    from srez.data.dataset import open_dataset
    from srez.options.config import Config
    from srez.runs.run import Run
    from srez.training.budget import Budget
    from srez.training.record import Due, Record
    from srez_model import LOSSES, Gan, Gradients
    from srez_train import train_batch

    config = Config(run="train", dataset=dataset, precision=precision)
    run, data, gan = Run(config).open(), open_dataset(config), Gan(config)
    run.describe(data.source.fingerprint, len(data.source))
    stream, batches = srez_input.open_stream(data, 0), iter(range(1, 10**9))
    record, budget = Record(config, run, data, gan), Budget(config, 1, 0.0)
    line = Due(lines=[1], sample=False, checkpoint=False, spent=False, interrupted=False)
    with contextlib.closing(record):
        record.begin(budget)

        def step() -> dict[str, float]:
            losses = train_batch(gan, stream, next(batches))
            return {name: float(value) for name, value in losses.items()}

        losses = step()
        gradients = [[tf.zeros_like(v) for v in m] for m in (gan.generator_variables, gan.critic_variables)]
        found = Gradients(dict.fromkeys(LOSSES, tf.zeros([])), *gradients)
        look = tf.function(lambda: gan.updates.check_finite(found, tf.constant(1, tf.int64)), autograph=False)
        look()
        work = {
            "step": step,
            LOOK: lambda: gan.updates.first_not_finite() or look()[0].numpy(),
            "line": lambda: record.write(line, budget, {1: losses}),
            "line and sample": lambda: record.write(replace(line, sample=True), budget, {1: losses}),
            "checkpoint": lambda: record.checkpoints.save(next(batches), 0.0),
        }
        costs = {}
        for name, run_it in work.items():
            times = []
            for _ in range(5):
                start = time.perf_counter()
                run_it()
                times.append(time.perf_counter() - start)
            costs[name] = statistics.median(times[1:])
    stream.close()
    each = (
        costs["line"] / config.log_period + (costs["line and sample"] - costs["line"]) / config.summary_period
    )
    # the period in batches, or that in minutes, whichever comes first
    often = min(config.checkpoint_period, config.checkpoint_minutes * 60 / costs["step"])
    share = (each + costs["checkpoint"] / often) / costs["step"]
    return costs | {
        "share beside the step": share,
        "share of looking, in the step": costs[LOOK] / costs["step"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="synthetic")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--batches", type=int, default=40, help="of the training whose memory is watched")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    dataset = args.dataset if args.dataset == "synthetic" else os.path.abspath(args.dataset)
    common = [f"--dataset={dataset}", f"--precision={args.precision}", "--log_period=1"]
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, words in (("--help", ["--help"]), ("a wrong flag", ["--batch_size=0"])):
            figures[f"{name}, s"] = statistics.median(seconds_of(words, folder) for _ in range(args.rounds))
        seen = training([*common, f"--max_batches={args.batches}"], folder)
        figures["first batch, s"] = next(when for when, batch, _ in seen if batch >= 1)
        memory = [gb for _, _, gb in seen if gb]
        figures["resident after the first batch, GB"] = memory[1]
        figures["resident at the end, GB"], figures["most, GB"] = memory[-1], max(memory)
        os.chdir(tempfile.mkdtemp(dir=folder))
        figures |= beside_the_step(dataset, args.precision)
        os.chdir(ROOT)
    for name, value in figures.items():
        print(f"{name:<40}{value:>10.4f}")
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
