"""Images/s of the training step with 1, 2, 4 replicas, for a fixed batch and for one that grows with them.

python3 bench/bench_scaling.py [--replicas 1 2 4] [--batch_size 16] [--steps 10] [--rounds 3] [--json FILE]

Replicas are the GPUs, one each; without a GPU they are logical CPUs that share the processors: then it shows
what passing numbers between replicas costs, and no gain. Every measurement is a process of its own; they
take turns.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("fixed", "growing")


def images_per_second(replicas: int, batch_size: int, width: float, steps: int) -> tuple[float, str]:
    """Of this process's first replicas, median over steps; what they are."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import numpy as np

    from srez.system.screen import quiet_stderr

    with quiet_stderr():
        import tensorflow as tf

    from srez.options.config import Config
    from srez.training.replicas import Replicas
    from srez_model import Gan

    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU":
        logical = [tf.config.LogicalDeviceConfiguration()] * replicas
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
    devices = [device.name for device in tf.config.list_logical_devices(kind)][:replicas]
    if len(devices) < replicas:
        sys.exit(f"{replicas} replicas: there are {len(devices)} GPUs")
    strategy = tf.distribute.MirroredStrategy(devices) if replicas > 1 else None
    gan = Gan(Config(batch_size=batch_size, width=width), Replicas(strategy))
    random = np.random.default_rng(0)
    label, feature = (
        tf.constant(random.random((batch_size, side, side, 3)), tf.float32) for side in (64, 16)
    )
    times = []
    for batch in range(1, steps + 3):
        start = time.perf_counter()
        losses = gan.step(label, feature, tf.constant(batch, tf.int64), tf.constant(1e-4))
        float(losses["generator_loss"])
        times.append(time.perf_counter() - start)
    return batch_size / statistics.median(times[2:]), kind


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)  # here, so many replicas
    args = parser.parse_args()
    if args.one:
        print(json.dumps(images_per_second(args.one, args.batch_size, args.width, args.steps)))
        return
    sizes = {
        (kind, n): args.batch_size * (n if kind == "growing" else 1) for kind in KINDS for n in args.replicas
    }
    found: dict[str, dict[int, list[float]]] = {kind: {n: [] for n in args.replicas} for kind in KINDS}
    for _, kind, count in itertools.product(range(args.rounds), KINDS, args.replicas):
        words = [sys.executable, __file__, f"--one={count}", f"--batch_size={sizes[kind, count]}"]
        words += [f"--width={args.width}", f"--steps={args.steps}"]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        rate, device = json.loads(done.stdout.splitlines()[-1])
        found[kind][count].append(rate)
    print(f"{'images/s, ' + device + 's':<24}{'batch':>8}{'median':>9}{'min':>9}{'max':>9}{'/ first':>9}")
    for kind, by_count in found.items():
        base = statistics.median(by_count[args.replicas[0]])
        for count, rates in by_count.items():
            middle, size = statistics.median(rates), sizes[kind, count]
            name = f"{count} replicas, {kind}"
            print(
                f"{name:<24}{size:>8}{middle:>9.1f}{min(rates):>9.1f}{max(rates):>9.1f}{middle / base:>9.2f}"
            )
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
