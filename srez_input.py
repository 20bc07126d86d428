"""Files -> batches. The stream is a pure function of (dataset, seed, position): sample i of a run is the
same picture with the same crop and jitter, whatever came before and wherever the stream was opened."""

import collections
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from srez.data.dataset import REPLACEMENT_TRIES, Dataset, uniforms
from srez.data.degrade import degrade_batch
from srez.data.samples import Batch, prepare, shared_tensor
from srez.data.windows import aligned_floats
from srez.errors import UserError
from srez.system.machine import processors

SAMPLES_AT_ONCE = 128  # samples made in one go, in whole batches: a call costs as much as five samples
CHUNKS_AHEAD = 2  # chunks made, or being made, beside the one that is trained on


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
            makers.shutdown(wait=False, cancel_futures=True)


def open_chunks(
    dataset: Dataset, position: int, lengths: Iterable[int], most: int, device: str = "GPU:0"
) -> Iterator[Batch]:
    """Chunks of batches from sample `position` on, made ahead in threads and copied to a device there.

    Each holds label [most, batches_per_step, B, S, S, 3] and feature [most, batches_per_step, B, s, s, 3],
    of which the first length places are the next length * batches_per_step batches in their order, the
    others zeros.
    `lengths`, each at most `most`, are taken CHUNKS_AHEAD before their chunk is.
    """
    config = dataset.config
    each, size = config.batches_per_step, config.batch_size
    together = max(1, SAMPLES_AT_ONCE // size)
    with ThreadPoolExecutor(processors()) as makers, ThreadPoolExecutor(1) as carrier:
        waiting: collections.deque = collections.deque()
        try:
            for length in lengths:
                label, feature = (
                    aligned_floats(most * each, size, side, side, 3)
                    for side in (config.sample_size, config.input_size)
                )
                label[length * each :] = feature[length * each :] = 0
                makings = []
                for first in range(0, length * each, together):
                    numbers = range(first, min(first + together, length * each))
                    starts = range(*(position + n * size for n in (numbers.start, numbers.stop)), size)
                    makings.append(makers.submit(fill, dataset, starts, label[first:], feature[first:]))
                position += length * each * size
                shape = (most, each, size)
                waiting.append(carrier.submit(carry, makings, (label, feature), shape, device))
                if len(waiting) > CHUNKS_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for pool in (carrier, makers):
                pool.shutdown(wait=False, cancel_futures=True)


def fill(dataset: Dataset, starts: Sequence[int], label: np.ndarray, feature: np.ndarray) -> None:
    """Write the batches that begin at positions `starts` into the first places of two arrays."""
    made = batches(dataset, starts, dataset.config.batch_size)
    for batch, label_place, feature_place in zip(made, label, feature, strict=False):
        label_place[:] = memoryview(batch.label)
        feature_place[:] = memoryview(batch.feature)


def carry(makings: Sequence[Future], parts: Sequence[np.ndarray], shape: Sequence[int], device: str) -> Batch:
    """Label and feature as tensors [*shape, ...] on a device, when all that is being made has been."""
    for making in makings:
        making.result()
    tensors = (shared_tensor(part.reshape(*shape, *part.shape[2:])) for part in parts)
    with tf.device(device):
        return Batch(*map(tf.identity, tensors))


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
        elif config.degrade == "photo":
            side, seed = config.input_size, config.random_seed
            pairs = [
                (label, tf.constant(degrade_batch(label.numpy(), side, seed, start)))
                for (label, _), start in zip(pairs, starts, strict=True)
            ]
    return [Batch(*pair) for pair in pairs]


def random_crops(dataset: Dataset, positions: Sequence[int], corners: np.ndarray) -> np.ndarray:
    """Crops, uint8 [n, C, C, 3], of the samples at n positions.

    corners [n, 2] in [0, 1): how far down and across its window each crop lies.
    Raises UserError where no picture can be read.
    """
    indices = pictures_at(dataset, positions)
    bad = np.flatnonzero([i in dataset.damaged for i in indices.tolist()]) if dataset.damaged else ()
    windows = None
    while windows is None or len(bad):
        for place in bad:
            indices[place] = replacement(dataset, positions[place], int(indices[place]))
        windows = dataset.windows(indices)
        bad = np.flatnonzero(windows.heights == 0)
    return windows.crops(corners, dataset.config.crop_size)


def pictures_at(dataset: Dataset, positions: Sequence[int]) -> np.ndarray:
    """Indices, int64 [n], of the pictures at n positions, whether they can be used or not."""
    train, seed = dataset.train, dataset.config.random_seed
    epochs, offsets = np.divmod(positions, len(train))
    indices = np.empty(len(offsets), np.int64)
    for epoch in np.unique(epochs).tolist():
        here = epochs == epoch
        indices[here] = train[permutation(len(train), seed, epoch)[offsets[here]]]
    return indices


def replacement(dataset: Dataset, position: int, index: int) -> int:
    """The index of the picture that takes the place of a damaged one, chosen by (seed, position, try).

    Raises UserError where no picture can be read.
    """
    train, seed = dataset.train, dataset.config.random_seed
    for attempt in range(1, REPLACEMENT_TRIES + len(train) + 1):
        if attempt <= REPLACEMENT_TRIES:
            index = int(train[int(uniforms(seed, position, 1, 1, block=attempt)[0, 0] * len(train))])
        else:
            index = int(train[(int(np.searchsorted(train, index)) + 1) % len(train)])
        if dataset.window(index) is not None:
            return index
    raise UserError(
        f"dataset '{dataset.source.where}': none of its pictures can be read",
        "put good ones there; download_data.py --check says what is wrong with which",
    )


@functools.lru_cache(maxsize=2)  # batches lie in one epoch, or in two
def permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of `count` pictures in an epoch, int32 [count]."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), [seed, epoch]).numpy()
