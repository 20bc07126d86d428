"""How fast are pictures upscaled, and in how much memory? Pictures/s and peak memory, as a Markdown table.

python3 bench/bench_upscale.py [--width 1] [--seconds 5] [--tile 128] [--json FILE]

16x16 faces singly and 64 at a time, and one 1024x1024 picture, in float32 and bfloat16, from an array of
pixels to an array of pixels. The network is that of 2017's recipe (resnet, x4), untrained.
Every case runs in a process of its own, since peak memory (of TensorFlow with everything) only ever grows.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
CASES = {  # pictures at a time, side
    "16x16, singly": (1, 16),
    "16x16, 64 at a time": (64, 16),
    "1024x1024": (1, 1024),
}
PRECISIONS = ("float32", "bfloat16")


def measure(count: int, side: int, precision: str, options: argparse.Namespace) -> dict[str, float]:
    """Pictures/s and peak memory of one case, in this process."""
    import numpy as np

    from srez.inference.network import Network
    from srez.networks.build import build_generator
    from srez.options.config import Config
    from srez.runs.trained import WEIGHTS

    config = Config(width=options.width, precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, WEIGHTS)
        build_generator(config).save_weights(path)
        network = Network(config, path)
    pictures = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    large = side > options.tile
    if not large:
        network.upscale(pictures)  # the first call traces the network
    done, start = 0, time.perf_counter()
    while done == 0 or time.perf_counter() - start < (0 if large else options.seconds):
        network.upscale(pictures, tile=options.tile)
        done += count
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"pictures_per_second": done / seconds, "peak_bytes": peak}


def device() -> str:
    """What the pictures are upscaled on."""
    import tensorflow as tf

    gpus = [tf.config.experimental.get_device_details(g) for g in tf.config.list_physical_devices("GPU")]
    names = [details.get("device_name", "GPU") for details in gpus]
    return ", ".join(names) or f"{os.cpu_count()} CPU cores ({platform.machine()})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--width", type=float, default=1.0, help="of the network")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each case of small pictures")
    parser.add_argument("--tile", type=int, default=128, help="input pixels")
    parser.add_argument("--json", help="write the figures to this file as well")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        name, precision = options.case
        print(json.dumps(measure(*CASES[name], precision, options)))
        return
    print(f"{device()}, width {options.width:g}, tile {options.tile}\n")
    print("| pictures | arithmetic | pictures/s | peak memory, MB |\n|---|---|---|---|")
    found = []
    for name in CASES:
        for precision in PRECISIONS:
            command = [sys.executable, __file__, *sys.argv[1:], "--case", name, precision]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            figures = json.loads(done.stdout.splitlines()[-1])
            found.append({"pictures": name, "precision": precision, **figures})
            rate, peak = figures["pictures_per_second"], figures["peak_bytes"] / 1e6
            print(f"| {name} | {precision} | {rate:.3g} | {peak:.0f} |", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps({"device": device(), "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
