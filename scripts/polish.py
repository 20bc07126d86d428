"""Take the lone pixels out of a trained generator: it learns to make its own pictures without them.

python3 scripts/polish.py --dataset FACES [--batches 400] [--tolerance 0.07] CHECKPOINT_DIR OUTPUT

Its loss is the mean |picture - picture before| + WEIGHT * mean of what pixels stand out by, beyond the
tolerance. The first part compares with a function of the input alone: unlike a comparison with photographs it
does not pull towards the mean of all faces that fit. Moving averages stay as they are. OUTPUT becomes a
folder for --checkpoint_dir: weights and config.json.
"""

import argparse
import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from srez.data.dataset import open_dataset
from srez.data.samples import Batch
from srez.errors import UserError, as_user_error
from srez.inference.network import Network, load
from srez.metrics.pictures import beyond_neighbours, lone_pixels
from srez.networks.build import generate, trainable
from srez.runs.trained import CONFIG, WEIGHTS
from srez.training.optimizers import OPTIMIZERS
from srez_input import open_stream

TOLERANCE, WEIGHT = 0.07, 10.0
RATE, HALVINGS = 5e-5, 4  # learning rate, and how often it is halved


def polish(network: Network, pictures: Iterator[Batch], batches: int, tolerance: float = TOLERANCE) -> None:
    """Train a network's generator, in place, on features [B, s, s, 3] of as many batches.

    tolerance: how far a pixel may stand out, of values 0..1.
    """
    config, generator = network.config, network.generator
    before, variables = Network(config, network.path).generator, trainable(generator)
    optimizer = OPTIMIZERS[config.optimizer](variables, config)

    @tf.function(autograph=False)
    def step(feature: tf.Tensor, rate: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        wanted = generate(before, feature, feature, config.back_projection)
        with tf.GradientTape() as tape:
            pictures = generate(generator, feature, feature, config.back_projection)
            alone = tf.nn.relu(beyond_neighbours(pictures) - tolerance)
            loss = tf.reduce_mean(tf.abs(pictures - wanted)) + WEIGHT * tf.reduce_mean(alone)
        optimizer.apply(variables, tape.gradient(loss, variables), rate)
        return loss, tf.reduce_mean(lone_pixels(pictures))

    for batch in range(1, batches + 1):
        rate = np.float32(RATE * 0.5 ** (HALVINGS * batch / batches))
        loss, lone = step(next(pictures).feature, tf.constant(rate))
        if batch % 20 == 0 or batch == batches:
            print(f"batch {batch} of {batches}: loss {loss:.5f}, {lone:.2f} lone pixels a face", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint_dir")
    parser.add_argument("output", help="a new folder")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--batches", type=int, default=400)
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    parser.add_argument("--precision", default="bfloat16", choices=("bfloat16", "float32"))
    args = parser.parse_args()
    output = Path(args.output)
    try:
        network = load(args.checkpoint_dir, precision=args.precision)
        dataset = open_dataset(dataclasses.replace(network.config, dataset=args.dataset))
        output.mkdir(parents=True)
        with contextlib.closing(open_stream(dataset, 0)) as pictures:
            polish(network, pictures, args.batches, args.tolerance)
        network.generator.save_weights(output / WEIGHTS)
        shutil.copyfile(Path(args.checkpoint_dir, CONFIG), output / CONFIG)
    except (UserError, OSError) as error:
        sys.exit(f"polish.py: {as_user_error(error)}")


if __name__ == "__main__":
    main()
