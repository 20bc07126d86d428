"""Files -> batches. The stream is a pure function of (dataset, seed, position): sample i of a run is the
same picture with the same crop and jitter, whatever came before and wherever the stream was opened."""

import collections
import functools
import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf
from absl import logging

import srez_files
from srez_config import Config, UserError
from srez_machine import processors
from srez_samples import aligned_bytes, average_down, centre_crop, prepare, shared_tensor
from srez_source import Damaged, Source, corner_in, open_source

CELEBA_COUNT = 202_599
# the sixteen faces which the 2017 study looked at
CELEBA_TEST = (
    *(73883, 110251, 36510, 132301, 57264, 152931, 93861, 124938),
    *(79512, 106152, 127384, 134028, 67874, 10613, 198694, 100990),
)
TOGETHER = 128  # samples made in one go, in whole batches: a call costs as much as five samples
TRIES = 64  # random replacements for a damaged picture, before the search goes one by one


@dataclass(frozen=True)
class Batch:
    """label [B, S, S, 3] in [0, 1]; feature [B, s, s, 3] in [0, 1], or noise in [-1, 1]."""

    label: tf.Tensor
    feature: tf.Tensor


@dataclass(eq=False)
class Dataset:
    """Training stream and held-out faces of one source."""

    config: Config
    source: Source
    train: np.ndarray = field(init=False)
    test: list[int] = field(init=False)
    damaged: dict[int, str] = field(init=False, default_factory=dict)

    def __post_init__(self):
        self._lock = threading.Lock()
        self.test = self._hold_out(self.config.test_vectors)
        held_out = {*self.test, *self.damaged}
        self.train = np.array([i for i in range(len(self.source)) if i not in held_out], np.int64)
        if not len(self.train):
            raise UserError(
                f"dataset '{self.source.where}' has {len(self.source)} pictures: none is left for training "
                f"beside --test_vectors={self.config.test_vectors}, lower it or add pictures"
            )

    # -- held-out faces --

    def _hold_out(self, count: int) -> list[int]:
        """Indices of the last `count` usable names, or the 2017 study's with the full CelebA."""
        last_first = list(range(len(self.source) - 1, -1, -1))
        fixed = []
        if len(self.source) == CELEBA_COUNT:
            by_name = {os.path.splitext(os.path.basename(n))[0]: i for i, n in enumerate(self.source.names)}
            fixed = [by_name[f"{n:06d}"] for n in CELEBA_TEST if f"{n:06d}" in by_name]
        if len(fixed) < len(CELEBA_TEST):
            fixed = []
        others = (i for i in last_first if i not in set(fixed))
        usable = (i for i in itertools.chain(fixed, others) if self.window(i) is not None)
        chosen = list(itertools.islice(usable, count))
        if len(chosen) < count:
            raise UserError(
                f"dataset '{self.source.where}' has {len(chosen)} usable pictures, "
                f"--test_vectors={count} asks for more: lower it or add pictures"
            )
        return chosen if fixed else chosen[::-1]

    def window(self, index: int) -> np.ndarray | None:
        """A picture's window, uint8 [h, w, 3]; None where it cannot be used, said once and counted."""
        if index in self.damaged:
            return None
        try:
            return self.source.window(index)
        except Damaged as reason:
            self._report(index, reason)
            return None

    def test_batch(self) -> Batch:
        """All held-out faces, cropped in the centre, without augmentation; fixed noise for noise input."""
        size = self.config.crop_size
        crops = np.stack([centre_crop(self.source.window(i), size) for i in self.test])
        label, feature = average_down(tf.cast(crops, tf.float32) / 255.0, self.config)
        if self.config.noise_input:
            feature = self.noise(2**63, len(self.test))
        return Batch(label, tf.convert_to_tensor(feature))

    def _report(self, index: int, reason: Damaged) -> None:
        with self._lock:
            if index not in self.damaged:
                self.damaged[index] = str(reason)
                name = srez_files.join(self.source.where, self.source.names[index])
                logging.warning("skipped %s: %s", name, reason)

    def noise(self, position: int, size: int) -> np.ndarray:
        """Noise input [size, s, s, 3] in [-1, 1] of the samples from a position on."""
        side = self.config.noise_dimension
        u = uniforms(self.config.random_seed, position, size, side * side * 3, block=TRIES + 1)
        return (2 * u - 1).astype(np.float32).reshape(size, side, side, 3)


def open_dataset(config: Config) -> Dataset:
    """The dataset that --dataset names. Raises UserError."""
    return Dataset(config, open_source(config))


# ---- training stream -------------------------------------------------------------------------------


def open_stream(
    dataset: Dataset, position: int, first: int = 0, count: int | None = None, ahead: int = 3
) -> Iterator[Batch]:
    """Endless batches from sample `position` on, made ahead in threads, some together.

    Of each batch `count` samples from its `first` on: a worker's share; the whole one by default.
    """
    size, threads = dataset.config.batch_size, processors()
    count = count or size
    together = max(1, TOGETHER // count)
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


# ---- chance ----------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)  # batches lie in one epoch, or in two
def permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of `count` pictures in an epoch."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), [seed, epoch]).numpy()


def uniforms(seed: int, position: int, size: int, count: int, block: int = 0) -> np.ndarray:
    """`count` numbers in [0, 1) for each of `size` positions from `position` on, [size, count].

    Pure functions of (seed, block, position): Philox (Salmon et al. 2011) with the position as its counter,
    which gives four words a step.
    """
    steps = -(-count // 4)
    bits = np.random.Philox(key=np.array([seed, block], np.uint64), counter=position * steps)
    words = bits.random_raw(size * steps * 4).reshape(size, -1)[:, :count]
    return (words >> np.uint64(11)) * 2.0**-53
