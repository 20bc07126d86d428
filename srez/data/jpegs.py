"""Windows of many JPEG files at once, read and decoded by TensorFlow: Python's lock is held once for all."""

import collections
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from srez.images.picture import END_OF_JPEG, plain_jpeg_size

FILES_AT_ONCE = 64


def windows_of_jpegs(
    paths: Sequence[str], place: Callable[[int, int], tuple[int, int, int, int]]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Windows of those files that are whole, plain JPEGs, some together: which, int [k]; uint8 [k, h, w, 3].

    `place(width, height)` is a picture's (x, y, width, height) of the window; it may raise UnusablePicture.
    The numbers are those of `decode`. What cannot be read or decoded is left out.
    """
    sorts = collections.defaultdict(list)
    for part in _parts(range(len(paths))):
        try:
            contents = _read(tf.constant([os.fsencode(paths[i]) for i in part]))
        except tf.errors.OpError:
            continue
        for i, data in zip(part, contents.numpy(), strict=True):
            try:
                size = plain_jpeg_size(data) if data.endswith(END_OF_JPEG) else None
                if size is None:
                    continue
                x, y, width, height = place(*size)
            except ValueError:  # a damaged one, or an UnusablePicture
                continue
            sorts[height, width].append((i, data, (y, 0, size[1] - y, size[0]), (0, x, 0)))
    for (height, width), members in sorts.items():
        for part in _parts(members):
            which, contents, rows, corners = zip(*part, strict=True)
            shape = np.array([height, width, 3], np.int32)
            try:
                windows = _decode(*map(tf.constant, (contents, rows, corners, shape)))
            except tf.errors.OpError:
                continue
            yield np.array(which), np.asarray(memoryview(windows))


def _parts(sequence: Sequence) -> Iterator[Sequence]:
    """A sequence in parts of FILES_AT_ONCE, the rest in powers of two: a graph is made for each length."""
    start = 0
    while left := len(sequence) - start:
        count = min(FILES_AT_ONCE, 1 << (left.bit_length() - 1))
        yield sequence[start : start + count]
        start += count


@tf.function(autograph=False)
def _read(paths: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.io.read_file(path) for path in tf.unstack(paths)])


@tf.function(autograph=False)
def _decode(contents: tf.Tensor, rows: tf.Tensor, corners: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Windows of n files; rows: (y, 0, height, width) of the part of each that is decoded; corners: in it.

    That part is all from the window's first row on: at the ends of parts of rows the colours would be others,
    and what is damaged behind the window counts too.
    """
    windows: list[tf.Tensor] = []
    for data, rectangle, corner in zip(*map(tf.unstack, (contents, rows, corners)), strict=True):
        with tf.control_dependencies(windows[-1:]):  # one at a time: not all are whole in memory at once
            picture = tf.io.decode_and_crop_jpeg(data, rectangle, channels=3, dct_method="INTEGER_ACCURATE")
            windows.append(tf.slice(picture, corner, shape))
    return tf.stack(windows)
