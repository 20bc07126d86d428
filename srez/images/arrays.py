"""Pictures in Python, arrays or Pillow's: checked, read as red, green and blue, made their own kind again.

Needs no TensorFlow.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from srez.errors import UserError, one_line
from srez.images.picture import LUMINANCE, UnusablePicture, from_pillow

TAKEN = (
    "give a Pillow picture, or an array [h, w], [h, w, 3 or 4] or [B, h, w, 3 or 4] of uint8, uint16 "
    "or floats in [0, 1]"
)
TOLERANCE = 1e-3  # by which a float may lie beyond [0, 1]: interpolation overshoots


def to_rgb(pictures: Any) -> tuple[np.ndarray, Callable[[np.ndarray], Any]]:
    """A picture or a batch of one size as [B, h, w, 3], and what makes such a batch its kind again.

    That batch may be larger: alpha is set aside and enlarged with Lanczos. Raises UserError.
    """
    if isinstance(pictures, Image.Image):
        if not all(pictures.size):
            raise UserError("no picture: an empty one", TAKEN)
        try:
            picture = from_pillow(pictures)
        except UnusablePicture as reason:
            raise UserError(f"no picture: {reason}", TAKEN) from None
        return picture.rgb[None], lambda large: picture.to_pillow(large[0])
    try:
        array = np.asarray(pictures)
    except ValueError as error:  # a list of unequal ones
        raise UserError(f"no picture: {one_line(error)}", TAKEN) from None
    check(array)
    batch = array.reshape((-1, *array.shape[-3:]) if array.ndim > 2 else (1, *array.shape, 1))
    channels = batch.shape[-1]
    rgb = np.repeat(batch, 3, axis=-1) if channels == 1 else batch[..., :3]

    def back(large: np.ndarray) -> np.ndarray:
        if channels == 1:
            large = from_float(to_float(large) @ LUMINANCE, array.dtype)[..., None]
        if channels == 4:
            alpha = [lanczos(channel, large.shape[1:3]) for channel in batch[..., 3]]
            large = np.concatenate([large, np.stack(alpha)[..., None]], axis=-1)
        return large.reshape(*array.shape[:-3], *large.shape[1:]) if array.ndim > 2 else large[0, ..., 0]

    return rgb, back


def lanczos(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture [h, w] or [h, w, 3] brought to a size (height, width), in its own kind of numbers."""
    if picture.dtype == np.uint8:
        return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.LANCZOS))
    if picture.ndim == 3:  # Pillow resizes others than bytes one channel at a time
        return np.stack([lanczos(channel, size) for channel in np.moveaxis(picture, -1, 0)], axis=-1)
    resized = Image.fromarray(to_float(picture)).resize(size[::-1], Image.Resampling.LANCZOS)
    return from_float(np.asarray(resized), picture.dtype)


def check(array: np.ndarray) -> None:
    """Raise UserError where an array is no picture, and say what is wrong with it."""
    problem = ""
    if array.dtype.kind in "SU":
        problem = "a text; a file is opened with PIL.Image.open"
    elif array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        problem = f"numbers of kind {array.dtype}"
    elif not array.size:
        problem = "an empty array"
    elif array.ndim not in (2, 3, 4) or (array.ndim > 2 and array.shape[-1] not in (1, 3, 4)):
        problem = f"an array of shape {list(array.shape)}"
        if array.ndim > 2 and array.shape[-3] in (1, 3, 4):
            problem += " (channels come last)"
    elif array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
            problem = f"floats from {low:g} to {high:g}"
    if problem:
        raise UserError(f"no picture: {problem}", TAKEN)


def peak(dtype: np.dtype) -> np.float32:
    """The number of a kind that stands for full brightness."""
    return np.float32(1 if dtype.kind == "f" else np.iinfo(dtype).max)


def to_float(pictures: np.ndarray) -> np.ndarray:
    """Pictures as float32 in [0, 1]."""
    return pictures.astype(np.float32) / peak(pictures.dtype)


def from_float(pictures: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Pictures clipped to [0, 1], as floats or as whole numbers that fill the range of `dtype`."""
    pictures = np.clip(pictures, 0, 1)
    if dtype.kind == "f":
        return pictures.astype(dtype)
    return (pictures * peak(dtype) + 0.5).astype(dtype)
