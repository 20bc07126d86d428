"""A dataset: the pictures of one source, which of them train and which are held out."""

import itertools
import os
import threading
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf
from absl import logging

from srez.data.samples import Batch, average_down, centre_crop
from srez.data.sources import Damaged, Source, open_source
from srez.errors import UserError
from srez.options.config import Config
from srez.system import files

CELEBA_COUNT = 202_599
# the sixteen faces which the 2017 study looked at
CELEBA_TEST = (
    *(73883, 110251, 36510, 132301, 57264, 152931, 93861, 124938),
    *(79512, 106152, 127384, 134028, 67874, 10613, 198694, 100990),
)

TRIES = 64  # random replacements for a damaged picture, before the search goes one by one


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
                name = files.join(self.source.where, self.source.names[index])
                logging.warning("skipped %s: %s", name, reason)

    def noise(self, position: int, size: int) -> np.ndarray:
        """Noise input [size, s, s, 3] in [-1, 1] of the samples from a position on."""
        side = self.config.noise_dimension
        u = uniforms(self.config.random_seed, position, size, side * side * 3, block=TRIES + 1)
        return (2 * u - 1).astype(np.float32).reshape(size, side, side, 3)


def open_dataset(config: Config) -> Dataset:
    """The dataset that --dataset names. Raises UserError."""
    return Dataset(config, open_source(config))


def uniforms(seed: int, position: int, size: int, count: int, block: int = 0) -> np.ndarray:
    """`count` numbers in [0, 1) for each of `size` positions from `position` on, [size, count].

    Pure functions of (seed, block, position): Philox (Salmon et al. 2011) with the position as its counter,
    which gives four words a step.
    """
    steps = -(-count // 4)
    bits = np.random.Philox(key=np.array([seed, block], np.uint64), counter=position * steps)
    words = bits.random_raw(size * steps * 4).reshape(size, -1)[:, :count]
    return (words >> np.uint64(11)) * 2.0**-53
