"""Files -> batches. The stream is a pure function of (dataset, seed, position): sample i of a run is the
same picture with the same crop and jitter, whatever came before and wherever the stream was opened."""

import collections
import functools
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from srez.data.dataset import TRIES, Dataset, uniforms
from srez.data.samples import Batch, aligned_bytes, prepare, shared_tensor
from srez.data.sources import corner_in
from srez.errors import UserError
from srez.system.machine import processors

SAMPLES_AT_ONCE = 128  # samples made in one go, in whole batches: a call costs as much as five samples


def open_stream(
    dataset: Dataset, position: int, first: int = 0, count: int | None = None, ahead: int = 3
) -> Iterator[Batch]:
    """Endless batches from sample `position` on, made ahead in threads, some together.

    Of each batch `count` samples from its `first` on: a worker's share; the whole one by default.
    """
    size, threads = dataset.config.batch_size, processors()
    count = count or size
    together = max(1, SAMPLES_AT_ONCE // count)
    with ThreadPoolExecutor(threads) as makers:
        waiting: collections.deque = collections.deque()
        try:
            for start in itertools.count(position + first, size * together):
                starts = range(start, start + size * together, size)
                waiting.append(makers.submit(batches, dataset, starts, count))
                if len(waiting) > max(ahead // together, threads):
                    yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def batches(dataset: Dataset, starts: Sequence[int], size: int) -> list[Batch]:
    """For each start the batch of the samples start .. start + size - 1, made in one go."""
    config = dataset.config
    first, positions = starts[0], [start + i for start in starts for i in range(size)]
    chance = uniforms(config.random_seed, first, positions[-1] - first + 1, 6)
    chance = chance[np.subtract(positions, first)]
    cut = crops(dataset, positions, chance[:, :2])
    with tf.device("CPU"):  # the same numbers whatever trains on them
        pairs = prepare(shared_tensor(cut), chance[:, 2:], len(starts), config)
        if config.noise_input:
            noises = [tf.constant(dataset.noise(start, size)) for start in starts]
            pairs = [(label, noise) for (label, _), noise in zip(pairs, noises, strict=True)]
    return [Batch(*pair) for pair in pairs]


def crops(dataset: Dataset, positions: Sequence[int], corners: np.ndarray) -> np.ndarray:
    """Crops, uint8 [n, C, C, 3], of the samples at n positions.

    corners [n, 2] in [0, 1): how far down and across the window each crop lies.
    """
    side = dataset.config.crop_size
    cut = aligned_bytes(len(corners), side, side, 3)
    for crop, position, corner in zip(cut, positions, corners.tolist(), strict=True):
        window = window_at(dataset, position)
        y, x = corner_in(*window.shape[:2], side, corner)
        crop[:] = window[y : y + side, x : x + side]
    return cut


def window_at(dataset: Dataset, position: int) -> np.ndarray:
    """The window of a position; a damaged picture's place is filled from (seed, position, try).

    Raises UserError where no picture can be read.
    """
    train, seed = dataset.train, dataset.config.random_seed
    epoch, offset = divmod(position, len(train))
    index = int(train[permutation(len(train), seed, epoch)[offset]])
    for attempt in itertools.count(1):
        if (window := dataset.window(index)) is not None:
            return window
        if attempt <= TRIES:
            index = int(train[int(uniforms(seed, position, 1, 1, block=attempt)[0, 0] * len(train))])
        elif attempt <= TRIES + len(train):
            index = int(train[(int(np.searchsorted(train, index)) + 1) % len(train)])
        else:
            raise UserError(f"dataset '{dataset.source.where}': none of its pictures can be read")


@functools.lru_cache(maxsize=2)  # batches lie in one epoch, or in two
def permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of `count` pictures in an epoch."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), [seed, epoch]).numpy()
