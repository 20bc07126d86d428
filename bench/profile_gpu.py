"""What a GPU does in a training step: kernels, copies, busy time, the most expensive kernels.

`profile(run, steps)` works on any callable that runs `steps` steps; bench_step.py --profile calls it. Alone,
with this code's steps, one by one: python3 bench/profile_gpu.py [--batch_size 16] [--precision float32]
"""

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

SHOWN = 25  # kernels named
WARMING = 3  # runs before the profile


class Event(NamedTuple):
    """One thing that a device did."""

    name: str
    start: int  # picoseconds
    duration: int  # picoseconds


def profile(run: Callable[[], object], steps: int, runs: int = 3) -> None:
    """Call run() `runs` times under TensorFlow's profiler and print what the device did, per step.

    run: does `steps` steps and returns when the device is done with them.
    """
    for _ in range(WARMING):
        run()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(runs):
            run()
        tf.profiler.experimental.stop()
        events = [event for path in Path(folder).rglob("*.xplane.pb") for event in device_events(path)]
    print(report(events, steps * runs))


def device_events(path: Path) -> Iterator[Event]:
    """What the GPUs did, kernels and copies; on a machine without GPUs, what the host's threads did."""
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
    planes = [plane for plane in space.planes if plane.name.startswith("/device:GPU")]
    for plane in planes or [plane for plane in space.planes if plane.name.startswith("/host:CPU")]:
        for line in plane.lines:
            # streams hold kernels and copies; other lines of a GPU name operations over the same time
            if planes and not line.name.startswith("Stream"):
                continue
            start = line.timestamp_ns * 1000
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                yield Event(name, start + event.offset_ps, event.duration_ps)


def busy(events: Iterable[Event]) -> int:
    """Picoseconds in which at least one event ran."""
    total = end = 0
    for event in sorted(events, key=lambda event: event.start):
        total += max(0, event.start + event.duration - max(end, event.start))
        end = max(end, event.start + event.duration)
    return total


def report(events: list[Event], steps: int) -> str:
    """Kernels, copies and busy time per step, then the most expensive names with counts and time per step."""
    copies = [event for event in events if event.name.startswith("Memcpy")]
    between = [event for event in copies if event.name == "MemcpyD2D"]
    kernels = len(events) - sum(event.name.startswith(("Memcpy", "Memset")) for event in events)
    rows = [
        f"per step, over {steps} steps: {kernels / steps:.1f} kernels, "
        f"device busy {1e-9 * busy(events) / steps:.3f} ms",
        f"device-to-device copies (MemcpyD2D): {len(between) / steps:.1f}, "
        f"{1e-6 * sum(event.duration for event in between) / steps:.1f} us; "
        f"other copies: {(len(copies) - len(between)) / steps:.1f}",
        f"{'count':>8}{'us':>10}  name",
    ]
    counts, durations = Counter(), Counter()
    for event in events:
        counts[event.name] += 1
        durations[event.name] += event.duration
    for name, duration in durations.most_common(SHOWN):
        rows.append(f"{counts[name] / steps:>8.1f}{1e-6 * duration / steps:>10.1f}  {name[:140]}")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--width", type=float, default=1.0)
    args = parser.parse_args()
    from srez.options.config import Config
    from srez_model import Gan

    config = Config(batch_size=args.batch_size, precision=args.precision, width=args.width)
    gan, rate = Gan(config), tf.constant(1e-4)
    label = tf.random.uniform([config.batch_size, config.sample_size, config.sample_size, 3])
    feature = tf.random.uniform([config.batch_size, config.input_size, config.input_size, 3])
    numbers = iter(range(1, 10**9))

    def run() -> None:
        losses = gan.step(label, feature, tf.constant(next(numbers), tf.int64), rate)
        float(losses["generator_loss"])  # waits for the device

    profile(run, 1)


if __name__ == "__main__":
    main()
