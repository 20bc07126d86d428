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
from srez_source import Damaged, Source, corner_in, open_source

CELEBA_COUNT = 202_599
# the sixteen faces which the 2017 study looked at
CELEBA_TEST = (
    *(73883, 110251, 36510, 132301, 57264, 152931, 93861, 124938),
    *(79512, 106152, 127384, 134028, 67874, 10613, 198694, 100990),
)
TOGETHER = 64  # samples made in one go, in whole batches: a call of `prepare` costs as much as three samples
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
        usable = (i for i in itertools.chain(fixed, others) if self._usable(i))
        chosen = list(itertools.islice(usable, count))
        if len(chosen) < count:
            raise UserError(
                f"dataset '{self.source.where}' has {len(chosen)} usable pictures, "
                f"--test_vectors={count} asks for more: lower it or add pictures"
            )
        return chosen if fixed else chosen[::-1]

    def _usable(self, index: int) -> bool:
        try:
            self.source.window(index)
        except Damaged as reason:
            self._report(index, reason)
            return False
        return True

    def test_batch(self) -> Batch:
        """All held-out faces, cropped in the centre, without augmentation; fixed noise for noise input."""
        size = self.config.crop_size
        crops = np.stack([centre_crop(self.source.window(i), size) for i in self.test])
        label, feature = average_down(tf.cast(crops, tf.float32) / 255.0, self.config)
        if self.config.noise_input:
            feature = self._noise(2**63, len(self.test))
        return Batch(label, tf.convert_to_tensor(feature))

    # -- training stream --

    def stream(
        self, position: int, first: int = 0, count: int | None = None, ahead: int = 3
    ) -> Iterator[Batch]:
        """Endless batches from sample `position` on, made ahead in threads, some together.

        Of each batch `count` samples from its `first` on: a worker's share; the whole one by default.
        """
        size, threads = self.config.batch_size, processors()
        count = count or size
        together = max(1, TOGETHER // count)
        with ThreadPoolExecutor(threads) as makers:
            waiting: collections.deque = collections.deque()
            try:
                for start in itertools.count(position + first, size * together):
                    starts = range(start, start + size * together, size)
                    waiting.append(makers.submit(self.batches, starts, count))
                    if len(waiting) > max(ahead // together, threads):
                        yield from waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def batch(self, position: int, size: int) -> Batch:
        """The samples position .. position + size - 1."""
        return self.batches([position], size)[0]

    def batches(self, starts: Sequence[int], size: int) -> list[Batch]:
        """For each start the samples start .. start + size - 1: as from `batch`, made in one go."""
        positions = [start + i for start in starts for i in range(size)]
        chance = np.concatenate([uniforms(self.config.random_seed, start, size, 6) for start in starts])
        crops = self.crops(positions, chance[:, :2])
        with tf.device("CPU"):  # the same numbers whatever trains on them
            label, feature = prepare(crops, chance[:, 2] < 0.5, 2 * chance[:, 3:] - 1, self.config)
            if self.config.noise_input:
                feature = tf.concat([self._noise(start, size) for start in starts], axis=0)
            pairs = zip(tf.split(label, len(starts)), tf.split(feature, len(starts)), strict=True)
        return [Batch(*pair) for pair in pairs]

    def crops(self, positions: Sequence[int], corners: np.ndarray) -> np.ndarray:
        """Crops, uint8 [n, C, C, 3], of the samples at n positions.

        corners [n, 2] in [0, 1): how far down and across the window each crop lies.
        """
        side = self.config.crop_size
        crops = np.empty((len(corners), side, side, 3), np.uint8)
        for crop, position, corner in zip(crops, positions, corners, strict=True):
            window = self._window_for(position)
            y, x = corner_in(*window.shape[:2], side, corner)
            crop[:] = window[y : y + side, x : x + side]
        return crops

    def _index_at(self, position: int) -> int:
        epoch, offset = divmod(position, len(self.train))
        return int(self.train[self._order(epoch)[offset]])

    def _window_for(self, position: int) -> np.ndarray:
        """The window of a position; a damaged picture's place is filled from (seed, position, try)."""
        index = self._index_at(position)
        for attempt in itertools.count(1):
            index = int(index)
            if index not in self.damaged:
                try:
                    return self.source.window(index)
                except Damaged as reason:
                    self._report(index, reason)
            if attempt <= TRIES:
                u = uniforms(self.config.random_seed, position, 1, 1, block=attempt)[0, 0]
                index = self.train[int(u * len(self.train))]
            elif attempt <= TRIES + len(self.train):
                index = self.train[(int(np.searchsorted(self.train, index)) + 1) % len(self.train)]
            else:
                raise UserError(f"dataset '{self.source.where}': none of its pictures can be read")

    @functools.lru_cache(maxsize=2)  # noqa: B019  (a dataset lives as long as its run)
    def _order(self, epoch: int) -> np.ndarray:
        return permutation(len(self.train), self.config.random_seed, epoch)

    def _report(self, index: int, reason: Damaged) -> None:
        with self._lock:
            if index not in self.damaged:
                self.damaged[index] = str(reason)
                name = srez_files.join(self.source.where, self.source.names[index])
                logging.warning("skipped %s: %s", name, reason)

    def _noise(self, position: int, size: int) -> np.ndarray:
        side = self.config.noise_dimension
        u = uniforms(self.config.random_seed, position, size, side * side * 3, block=TRIES + 1)
        return (2 * u - 1).astype(np.float32).reshape(size, side, side, 3)


def open_dataset(config: Config) -> Dataset:
    """The dataset that --dataset names. Raises UserError."""
    return Dataset(config, open_source(config))


# ---- arithmetic ------------------------------------------------------------------------------------


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


def centre_crop(window: np.ndarray, size: int) -> np.ndarray:
    """The middle [size, size, 3] of a window."""
    y, x = (window.shape[0] - size) // 2, (window.shape[1] - size) // 2
    return window[y : y + size, x : x + size]


def average_down(pictures: tf.Tensor, config: Config) -> tuple[tf.Tensor, tf.Tensor]:
    """Label and feature of crops in [0, 1], both by area averaging."""
    label = area_resize(pictures, config.sample_size)
    return label, area_resize(label, config.input_size)


def area_resize(pictures: tf.Tensor, size: int) -> tf.Tensor:
    """Area-averaged [B, size, size, 3] of square pictures [B, n, n, 3], n >= size."""
    side = pictures.shape[1]
    factor, rest = divmod(side, size)
    if not rest:  # rows, then columns: a compiler makes more of this than of pooling
        rows = sum(pictures[:, i::factor] for i in range(factor))
        return sum(rows[:, :, i::factor] for i in range(factor)) / factor**2
    edges = np.arange(size + 1)[:, None] * side / size
    # [size + 1, side] -> [size, side]: how much of each pixel lies before an edge, then between two
    shares = np.diff(np.clip(edges - np.arange(side), 0, 1), axis=0) * size / side
    return tf.einsum("ij,bjkc,lk->bilc", shares.astype(np.float32), pictures, shares.astype(np.float32))


def jitter_colours(pictures: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """2017's colour augmentation of pictures [B, C, C, 3] in [0, 1] with amounts [B, 3] in [-1, 1].

    Saturation times 0.95..1.05 (in HSV, hue and value kept), plus brightness -0.05..0.05, contrast times
    0.95..1.05 around each channel's mean; clipped to [0, 1].
    """
    saturation, brightness, contrast = tf.unstack(amounts[:, :, None, None] * 0.05, axis=1)
    red, green, blue = tf.unstack(pictures, axis=-1)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    # saturation is chroma / value and may not pass 1
    factor = tf.minimum(1 + saturation, value / tf.maximum(chroma, 1e-6))
    # a plane a channel, and means of columns first: sums along the last axis are slow
    planes = tf.stack([value + factor * (plane - value) + brightness for plane in (red, green, blue)], axis=1)
    means = tf.reduce_mean(tf.reduce_mean(planes, axis=2, keepdims=True), axis=3, keepdims=True)
    planes = tf.clip_by_value(means + (1 + contrast[:, None]) * (planes - means), 0.0, 1.0)
    return tf.transpose(planes, [0, 2, 3, 1])


@tf.function(autograph=False, jit_compile=True)
def prepare(
    crops: tf.Tensor, flips: tf.Tensor, amounts: tf.Tensor, config: Config
) -> tuple[tf.Tensor, tf.Tensor]:
    """Label and feature of uint8 crops [B, C, C, 3]: colour jitter, area averaging, flips [B] of bools.

    Flipping commutes with the others and is cheapest at the end.
    """
    jittered = jitter_colours(tf.cast(crops, tf.float32) / 255.0, tf.cast(amounts, tf.float32))
    label, _ = average_down(jittered, config)
    label = tf.where(flips[:, None, None, None], label[:, :, ::-1], label)
    return label, area_resize(label, config.input_size)
