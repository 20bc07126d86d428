"""Windows of many JPEG files at once, read and decoded by TensorFlow: Python's lock is held once for all."""

import collections
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from srez.images.picture import END_OF_JPEG, UnusablePicture, plain_jpeg_size

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
            if (size := _whole_jpeg_size(data)) is None:
                continue
            try:
                x, y, width, height = place(*size)
            except UnusablePicture:
                continue
            sorts[height, width].append((i, data, (y, 0, height, size[0], x)))
    for (_, width), members in sorts.items():
        for part in _parts(members):
            which, contents, rows = zip(*part, strict=True)
            try:
                windows = _decode(tf.constant(contents), tf.constant(rows), tf.constant(np.int32(width)))
            except tf.errors.OpError:
                continue
            yield np.array(which), np.asarray(memoryview(windows))


def _whole_jpeg_size(data: bytes) -> tuple[int, int] | None:
    try:
        return plain_jpeg_size(data) if data.endswith(END_OF_JPEG) else None
    except ValueError:
        return None


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
def _decode(contents: tf.Tensor, rows: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Windows; of each file (y, 0, height, whole width, x): rows are decoded whole, since colours of their
    ends would be interpolated otherwise."""
    windows = []
    for data, (*rectangle, x) in zip(tf.unstack(contents), map(tf.unstack, tf.unstack(rows)), strict=True):
        picture = tf.io.decode_and_crop_jpeg(
            data, tf.stack(rectangle), channels=3, dct_method="INTEGER_ACCURATE"
        )
        windows.append(picture[:, x : x + width])
    return tf.stack(windows)
