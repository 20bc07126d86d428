"""Pictures in overlapping tiles, so that a network of any size of input needs only the memory of one tile."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import keras

from srez_layers import Conv, Deconv, UpscaleConv

PROJECTION_REACH = 2  # bicubic interpolation by 2, 4 or 8 looks at two pixels each way


@dataclasses.dataclass(frozen=True)
class Span:
    """One axis of a tile: pixels start..stop of the picture are wanted, first..last are needed for them."""

    start: int
    stop: int
    first: int
    last: int

    def inner(self, factor: int) -> slice:
        """The wanted part of the tile's output."""
        return slice((self.start - self.first) * factor, (self.stop - self.first) * factor)


def spans(length: int, tile: int, margin: int) -> list[Span]:
    """An axis of `length` pixels in equal parts of at most `tile`, with their margins inside the picture."""
    count = math.ceil(length / tile)
    edges = [length * i // count for i in range(count + 1)]
    return [
        Span(start, stop, max(0, start - margin), min(length, stop + margin))
        for start, stop in itertools.pairwise(edges)
    ]


def tiles(height: int, width: int, tile: int, margin: int) -> Iterator[tuple[Span, Span]]:
    """Rows and columns of every tile of a picture."""
    for rows in spans(height, tile, margin):
        for columns in spans(width, tile, margin):
            yield rows, columns


def reach(network: keras.Model) -> int:
    """How many pixels of the input, each way, an output pixel depends on beyond the one that it lies in.

    Walks the layers from the output back to the input and keeps how far beyond a block of pixels each tensor
    is needed; a block is one input pixel or what was made of it.
    """
    needed = {network.layers[-1].name: 0}
    for layer in reversed(network.layers):
        before = _before(layer, needed[layer.name])
        for tensor in layer.input if isinstance(layer.input, list) else [layer.input]:
            name = tensor._keras_history.operation.name
            needed[name] = max(before, needed.get(name, 0))
    return needed[network.layers[0].name]


def _before(layer: keras.layers.Layer, after: int) -> int:
    """How far beyond a block a layer's input is needed; its output is needed `after` pixels beyond it."""
    if isinstance(layer, Conv):
        return after + layer.size // 2
    if isinstance(layer, UpscaleConv | Deconv):
        # output o takes inputs (o + pad - j) / 2, j = 0 .. size - 1; the block begins at an even pixel
        size = layer.size + isinstance(layer, UpscaleConv)
        pad = (size - 2) // 2
        left, right = (after - pad + size - 1) // 2, (after + pad + 1) // 2
        return max(left, right)
    return after
