"""A dataset: the pictures of one source, which of them train and which are held out."""

import itertools
import math
import os
import re
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf
from absl import logging

from srez.data.advice import smaller_crop
from srez.data.framing import TOO_SMALL
from srez.data.samples import Batch, area_resize, centre_crop
from srez.data.sources import Source, open_source
from srez.data.windows import Store, Windows
from srez.errors import MOST_NAMED, UserError
from srez.images.picture import UnusablePicture
from srez.options.config import Config
from srez.system import files
from srez.system.machine import free_memory

CELEBA_COUNT = 202_599
# the sixteen faces which the 2017 study looked at
CELEBA_TEST_FACES = (
    *(73883, 110251, 36510, 132301, 57264, 152931, 93861, 124938),
    *(79512, 106152, 127384, 134028, 67874, 10613, 198694, 100990),
)

CACHE_SHARE = 0.25  # of the free memory, at most, for windows that are kept by --cache=auto
REPLACEMENT_TRIES = 64  # random replacements for a damaged picture, before the search goes one by one
# blocks of random numbers: 0 for crops and colours, one for each of these tries, then
BLOCK_OF_NOISE_INPUT, BLOCK_OF_AMOUNTS, BLOCK_OF_NORMALS = range(REPLACEMENT_TRIES + 1, REPLACEMENT_TRIES + 4)


@dataclass(eq=False)
class Dataset:
    """The pictures of a source: `train` and `test` are indices; `damaged` says why some cannot be used."""

    config: Config
    source: Source
    train: np.ndarray = field(init=False)
    test: list[int] = field(init=False)
    damaged: dict[int, str] = field(init=False, default_factory=dict)

    def __post_init__(self):
        self._lock = threading.Lock()
        self._named = 0  # how many of the damaged were logged
        self._kept = self._store()
        self.test = self._hold_out(self.config.test_vectors)
        self._name_damaged()
        held_out = {*self.test, *self.damaged}
        self.train = np.array([i for i in range(len(self.source)) if i not in held_out], np.int64)
        if not len(self.train):
            raise self._too_few("none is left for training beside", len(self.test))

    def _hold_out(self, count: int) -> list[int]:
        """Indices of the last `count` usable pictures; with the full CelebA, of 2017's faces first."""
        fixed = _faces_of_2017(self.source.names)
        candidates = dict.fromkeys([*fixed, *reversed(range(len(self.source)))])
        usable = (i for i in candidates if self._window(i) is not None)
        chosen = list(itertools.islice(usable, count))
        if len(chosen) < count:
            raise self._too_few("too few for", len(chosen))
        return chosen if fixed else chosen[::-1]

    def _too_few(self, problem: str, usable: int) -> UserError:
        """What to raise where so many usable pictures are no more than are held out."""
        asked = f"{problem} --test_vectors={self.config.test_vectors}"
        text = f"dataset '{self.source.where}' has {usable} usable pictures, {asked}"
        if not self.damaged:
            return UserError(text, "lower it or add pictures")
        most = len(self.source) / 2
        if sum(TOO_SMALL in reason for reason in self.damaged.values()) > most:
            remedy = smaller_crop(self.config, self.source.names)
        elif len(self.damaged) > most:
            remedy = "mend that, or name another folder (download_data.py --check names them all)"
        else:
            remedy = "lower it or add others"
        if not usable:
            text = f"dataset '{self.source.where}' has no usable picture"
        return UserError(f"{text}; {self.describe_damaged()}", remedy)

    def describe_damaged(self) -> str:
        """How many pictures, of those used so far, cannot be used, and the commonest reason."""
        reason, times = _commonest(list(self.damaged.values()))
        of_them = "" if times == len(self.damaged) else f", {times} of them"
        return f"{len(self.damaged)} pictures cannot be used{of_them} ({reason})"

    def _store(self) -> Store | None:
        """Where the windows are kept that have been decoded, as --cache says. Raises UserError."""
        config, count, side = self.config, len(self.source), self.config.window_side
        if self.source.located:
            return None  # which are in memory already
        needed = Store.bytes_needed(count, side)
        room = free_memory() * CACHE_SHARE / config.jobs if config.cache == "auto" else math.inf
        if not self.source.drawn and (config.cache == "off" or needed > room):
            return None
        remedy = "set --cache=off, or make a pack of them (download_data.py --pack)"
        return self._room(count, f"--cache={config.cache}: {count} pictures", remedy)

    def _room(self, count: int, what: str, remedy: str) -> Store:
        """Room for so many windows. Raises UserError that says what would take the memory where it lacks."""
        side = self.config.window_side
        try:
            return Store(count, side)
        except MemoryError:
            needed = f"{Store.bytes_needed(count, side) / 1e9:.1f} GB of memory"
            raise UserError(f"{what} would take {needed}", remedy) from None

    def window(self, index: int) -> np.ndarray | None:
        """A picture's window, uint8 [h, w, 3]; None where it cannot be used; the first such are logged."""
        window = self._window(index)
        if window is None:
            self._name_damaged()
        return window

    def _window(self, index: int) -> np.ndarray | None:
        if index in self.damaged:
            return None
        if self._kept and (kept := self._kept.get(index)) is not None:
            return kept
        try:
            window = self.source.window(index)
        except UnusablePicture as reason:
            with self._lock:
                self.damaged.setdefault(index, str(reason))
            return None
        if self._kept:
            self._kept.put(index, window)
        return window

    def _name_damaged(self) -> None:
        """Log the pictures that cannot be used and are not yet logged, MOST_NAMED in all."""
        if self._named > MOST_NAMED:
            return
        with self._lock:
            for index, reason in list(self.damaged.items())[self._named : MOST_NAMED]:
                name = files.join(self.source.where, self.source.names[index])
                logging.warning("skipped %s: %s", name, reason)
            if self._named <= MOST_NAMED < len(self.damaged):
                logging.warning("skipped more of %s, which are not named", self.source.where)
            self._named = len(self.damaged)

    def windows(self, indices: np.ndarray) -> Windows:
        """Where windows of pictures, int [n], lie; height 0: it cannot be used, which is logged once."""
        if self.source.located:
            found = self.source.located(indices)
            for place in np.flatnonzero(found.heights == 0):
                self.window(int(indices[place]))
            return found
        store, places = self._kept, indices
        if store is None:
            count, config = len(indices), self.config
            what = f"--crop_wiggle={config.crop_wiggle}: {count} windows of {config.window_side} pixels"
            store, places = self._room(count, what, "lower it"), np.arange(count)
        self._fill(store, places, indices)
        return store.windows(places)

    def _fill(self, store: Store, places: np.ndarray, indices: np.ndarray) -> None:
        """Put windows of pictures into those of their places in a store that are empty."""
        empty = np.flatnonzero(store.windows(places).heights == 0)
        if len(empty) and self.source.together:
            for which, windows in self.source.together(indices[empty].tolist()):
                store.put(places[empty[which]], windows)
            empty = empty[store.windows(places[empty]).heights == 0]
        for place, index in zip(places[empty].tolist(), indices[empty].tolist(), strict=True):
            window = self.window(index)
            if window is not None and store is not self._kept:
                store.put(place, window)

    def test_batch(self) -> Batch:
        """All held-out faces, cropped in the centre, without augmentation; fixed noise for noise input."""
        size = self.config.crop_size
        crops = np.stack([centre_crop(self.window(i), size) for i in self.test])
        label = area_resize(tf.cast(crops, tf.float32) / 255.0, self.config.sample_size)
        if self.config.noise_input:
            return Batch(label, tf.convert_to_tensor(self.noise(2**63, len(self.test))))
        return Batch(label, area_resize(label, self.config.input_size))

    def noise(self, position: int, size: int) -> np.ndarray:
        """Noise input [size, s, s, 3] in [-1, 1] of `size` samples from a position on."""
        side = self.config.noise_dimension
        u = uniforms(self.config.random_seed, position, size, side * side * 3, block=BLOCK_OF_NOISE_INPUT)
        return (2 * u - 1).astype(np.float32).reshape(size, side, side, 3)


def _faces_of_2017(names: list[str]) -> list[int]:
    """Indices of the sixteen faces of the 2017 study among the names of the full CelebA, else none."""
    if len(names) != CELEBA_COUNT:
        return []
    by_name = {os.path.splitext(os.path.basename(name))[0]: i for i, name in enumerate(names)}
    found = [by_name.get(f"{n:06d}") for n in CELEBA_TEST_FACES]
    return [] if None in found else found


def _commonest(reasons: Collection[str]) -> tuple[str, int]:
    """The commonest reason, and how often it is there; those that differ in their numbers alone are one."""
    examples = {re.sub(r"\d+", "", reason): reason for reason in reasons}
    ((kind, times),) = Counter(re.sub(r"\d+", "", reason) for reason in reasons).most_common(1)
    return examples[kind], times


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
