"""How fast is the data stream? This code's, from a folder and from a pack, against 2017's per-image graph.

python3 bench/bench_input.py FOLDER [--batch_size 16] [--images 2000] [--rounds 5] [--chunks 0] [--json FILE]

All contenders read the same files with the same number of threads and take turns within one process; each
makes labels and features with crop, flip and colour jitter. 2017's graph decodes and jitters whole pictures,
then crops and resizes them one by one; it wants CelebA's 178x218 pictures. The processor time that an image
takes, all threads together, is printed too: it suffers less from other work on the machine. "From files"
decodes every picture each time; "kept in memory" has decoded all of them before, "degraded" too, with inputs
of --degrade photo. --chunks 20 adds the same streams as a GPU takes them, 20 batches at once, copied to it
ahead of time (to the CPU where there is none).
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

from srez.data.dataset import Dataset, open_dataset
from srez.data.framing import Framing
from srez.data.samples import Batch
from srez.download.pack import pack
from srez.options.config import Config
from srez.system.machine import processors
from srez_input import open_chunks, open_stream

DEVICE = "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"


def per_image_2017(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """2017's graph of one picture: label [64, 64, 3] and feature [16, 16, 3] of a JPEG file's content."""
    picture = tf.io.decode_jpeg(data, channels=3)
    picture = tf.image.random_flip_left_right(picture)
    picture = tf.image.random_saturation(picture, 0.95, 1.05)
    picture = tf.image.random_brightness(picture, 0.05)
    picture = tf.image.random_contrast(picture, 0.95, 1.05)
    window = tf.image.crop_to_bounding_box(picture, 52, 17, 144, 144)
    crop = tf.cast(tf.image.random_crop(window, [128, 128, 3]), tf.float32) / 255.0
    label = tf.image.resize(crop[None], [64, 64], method="area")
    return label[0], tf.image.resize(label, [16, 16], method="area")[0]


def stream_2017(folder: str, batch_size: int) -> Iterator:
    """Endless batches of 2017's graph, in as many threads as there are processors."""
    files = tf.data.Dataset.list_files(f"{folder}/*.jpg").repeat().map(tf.io.read_file)
    samples = files.map(per_image_2017, num_parallel_calls=processors())
    return iter(samples.batch(batch_size).prefetch(3))


def batches_of_chunks(dataset: Dataset, length: int) -> Iterator[Batch]:
    """Endless chunks of so many batches, each as many times as it has batches: one is taken as a batch is."""
    with contextlib.closing(open_chunks(dataset, 0, itertools.repeat(length), length, DEVICE)) as chunks:
        for chunk in chunks:
            yield from itertools.repeat(chunk, length)


def seconds_of(stream: Iterator, batches: int) -> tuple[float, float]:
    """How long batches take, the last one's numbers being there: by the clock, and of the processors.

    What had been made ahead is used up before, and what is made ahead at the end is waited for.
    """
    take(stream, batches // 4)
    start, busy = time.perf_counter(), time.process_time()
    take(stream, batches)
    found = time.perf_counter() - start, time.process_time() - busy
    before = -1.0
    while time.process_time() - before > 0.01:
        before = time.process_time()
        time.sleep(0.2)
    return found


def take(stream: Iterator, batches: int) -> None:
    """The next batches."""
    for _ in range(batches):
        batch = next(stream)
    float(tf.reduce_sum(batch[0] if isinstance(batch, tuple) else batch.label))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="with CelebA's pictures, .jpg, 178x218")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--images", type=int, default=2000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunks", type=int, default=0, metavar="N", help="also chunks of N batches")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    batches = args.images // args.batch_size
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        packed = os.path.join(folder, "faces.pack")
        pack(args.folder, Path(packed), Framing())
        streams = {"2017 graph": stream_2017(args.folder, args.batch_size)}
        for name, (folder_or_pack, cache, degrade) in {
            "srez from files": (args.folder, "off", "off"),
            "srez kept in memory": (args.folder, "memory", "off"),
            "srez, degraded": (args.folder, "memory", "photo"),
            "srez from a pack": (packed, "off", "off"),
        }.items():
            config = Config(dataset=folder_or_pack, cache=cache, degrade=degrade, batch_size=args.batch_size)
            dataset = open_dataset(config)
            if cache == "memory":
                dataset.windows(dataset.train)
            streams[name] = stack.enter_context(contextlib.closing(open_stream(dataset, 0)))
            if args.chunks:
                chunked = stack.enter_context(contextlib.closing(batches_of_chunks(dataset, args.chunks)))
                streams[f"{name}, chunks"] = chunked
        for stream in streams.values():  # warm: traces, files in the page cache
            seconds_of(stream, batches)
        images = batches * args.batch_size
        rates: dict[str, list[float]] = {name: [] for name in streams}
        costs: dict[str, list[float]] = {name: [] for name in streams}
        for _, (name, stream) in itertools.product(range(args.rounds), streams.items()):
            seconds, busy = seconds_of(stream, batches)
            rates[name].append(images / seconds)
            costs[name].append(1e6 * busy / images)
    middle = {name: (statistics.median(rates[name]), statistics.median(costs[name])) for name in streams}
    base = middle["2017 graph"]
    print(f"{'images/s':<28}{'median':>9}{'min':>9}{'max':>9}{'/ 2017':>9}{'CPU us/image':>15}{'2017 /':>9}")
    for name, (rate, cost) in middle.items():
        found = rates[name]
        print(
            f"{name:<28}{rate:>9.0f}{min(found):>9.0f}{max(found):>9.0f}{rate / base[0]:>9.1f}"
            f"{cost:>15.0f}{base[1] / cost:>9.1f}"
        )
    if args.json:
        found = {"images_per_second": rates, "cpu_us_per_image": costs}
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
