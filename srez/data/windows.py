"""Windows of pictures in memory, and the crops of them that become samples."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

ALIGNMENT = 64  # bytes: TensorFlow ends the process at a tensor that begins elsewhere
SHAPE_BASE = 2**31
CROPS_AT_ONCE = 16  # which stay in a processor's cache between the two times that they are copied


@dataclass
class Windows:
    """Where the windows of n pictures lie.

    data: bytes, uint8 [N]. Of each window the place of its first byte, the bytes from a row to the next, its
    height and its width in pixels, int [n]; height 0: there is none.
    """

    data: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    heights: np.ndarray
    widths: np.ndarray

    def crops(self, corners: np.ndarray, size: int) -> np.ndarray:
        """A crop of each, uint8 [n, size, size, 3]; corners [n, 2] in [0, 1): how far down and across."""
        y, x = (corners.T * (np.stack([self.heights, self.widths]) - size + 1)).astype(np.int64)
        starts = self.starts + y * self.rows + x * 3
        crops = aligned_bytes(len(starts), size, size * 3)
        for row in np.unique(self.rows).tolist():
            count = len(self.data) - (size - 1) * row - size * 3 + 1
            # every place at which a crop may begin: one call copies many, and other threads run meanwhile
            places = as_strided(self.data, (count, size, size * 3), (1, row, 1), writeable=False)
            chosen = np.flatnonzero(self.rows == row)
            for part in np.split(chosen, range(CROPS_AT_ONCE, len(chosen), CROPS_AT_ONCE)):
                crops[part] = places[starts[part]]
        return crops.reshape(-1, size, size, 3)


class Store:
    """Windows of numbered pictures, each at most side x side pixels. May be used from several threads."""

    def __init__(self, count: int, side: int):
        """Raises MemoryError."""
        self._pixels = np.empty((count, side, side, 3), np.uint8)  # needs memory where it is written to alone
        self._shapes = np.zeros(count, np.int64)  # SHAPE_BASE * height + width: seen whole by other threads

    @staticmethod
    def bytes_needed(count: int, side: int) -> int:
        """How much memory it takes when it is full."""
        return count * side * side * 3

    def put(self, indices: np.ndarray | int, windows: np.ndarray) -> None:
        """Keep the windows, uint8 [n, h, w, 3], of n pictures, or one, [h, w, 3], of one."""
        height, width = windows.shape[-3:-1]
        self._pixels[indices, :height, :width] = windows
        self._shapes[indices] = SHAPE_BASE * height + width  # at last: now others see them

    def get(self, index: int) -> np.ndarray | None:
        """The window of a picture, uint8 [h, w, 3], or None where it has not been kept."""
        height, width = divmod(int(self._shapes[index]), SHAPE_BASE)
        return self._pixels[index, :height, :width] if height else None

    def windows(self, indices: np.ndarray) -> Windows:
        """Where the windows of several pictures lie."""
        side = self._pixels.shape[1]
        heights, widths = np.divmod(self._shapes[indices], SHAPE_BASE)
        rows = np.full(len(indices), side * 3)
        return Windows(self._pixels.reshape(-1), indices * side * side * 3, rows, heights, widths)


def aligned_bytes(*shape: int) -> np.ndarray:
    """uint8 [shape], not set, that begins where TensorFlow wants its tensors to begin."""
    count = math.prod(shape)
    raw = np.empty(count + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count].reshape(shape)


def aligned_floats(*shape: int) -> np.ndarray:
    """float32 [shape], not set, that begins where TensorFlow wants its tensors to begin."""
    return aligned_bytes(*shape, 4).view(np.float32)[..., 0]
