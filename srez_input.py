"""Files -> batches. The stream is a pure function of (dataset, seed, position): sample i of a run is the
same picture with the same crop and jitter, whatever came before and wherever the stream was opened."""

import collections
import functools
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from srez.data.dataset import REPLACEMENT_TRIES, Dataset, uniforms
from srez.data.samples import Batch, aligned_bytes, prepare, shared_tensor
from srez.errors import UserError
from srez.system.machine import processors

SAMPLES_AT_ONCE = 128  # samples made in one go, in whole batches: a call costs as much as five samples


def open_stream(
    dataset: Dataset, position: int, first: int = 0, count: int | None = None, ahead: int = 3
) -> Iterator[Batch]:
    """Endless batches from sample `position` on, made ahead in threads, some together.

    Of each batch only `count` samples from its `first` on, a worker's share; the whole batch by default.
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
    random = uniforms(config.random_seed, first, positions[-1] - first + 1, 6)
    random = random[np.subtract(positions, first)]
    crops = random_crops(dataset, positions, random[:, :2])
    with tf.device("CPU"):  # the same numbers whatever trains on them
        pairs = prepare(shared_tensor(crops), random[:, 2:], len(starts), config)
        if config.noise_input:
            noises = [tf.constant(dataset.noise(start, size)) for start in starts]
            pairs = [(label, noise) for (label, _), noise in zip(pairs, noises, strict=True)]
    return [Batch(*pair) for pair in pairs]


def random_crops(dataset: Dataset, positions: Sequence[int], corners: np.ndarray) -> np.ndarray:
    """Crops, uint8 [n, C, C, 3], of the samples at n positions.

    corners [n, 2] in [0, 1): how far down and across its window each crop lies.
    """
    size = dataset.config.crop_size
    crops = aligned_bytes(len(corners), size, size, 3)
    for crop, position, (down, across) in zip(crops, positions, corners.tolist(), strict=True):
        window = window_at(dataset, position)
        y, x = int(down * (window.shape[0] - size + 1)), int(across * (window.shape[1] - size + 1))
        crop[:] = window[y : y + size, x : x + size]
    return crops


def window_at(dataset: Dataset, position: int) -> np.ndarray:
    """The window of the sample at a position; for a damaged picture one chosen by (seed, position, try).

    Raises UserError where no picture can be read.
    """
    train, seed = dataset.train, dataset.config.random_seed
    epoch, offset = divmod(position, len(train))
    index = int(train[permutation(len(train), seed, epoch)[offset]])
    for attempt in itertools.count(1):
        if (window := dataset.window(index)) is not None:
            return window
        if attempt <= REPLACEMENT_TRIES:
            index = int(train[int(uniforms(seed, position, 1, 1, block=attempt)[0, 0] * len(train))])
        elif attempt <= REPLACEMENT_TRIES + len(train):
            index = int(train[(int(np.searchsorted(train, index)) + 1) % len(train)])
        else:
            raise UserError(
                f"dataset '{dataset.source.where}': none of its pictures can be read",
                "put good ones there; download_data.py --check says what is wrong with which",
            )


@functools.lru_cache(maxsize=2)  # batches lie in one epoch, or in two
def permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of `count` pictures in an epoch, int32 [count]."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), [seed, epoch]).numpy()
