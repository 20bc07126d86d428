"""Which square of a picture becomes a sample."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from srez.images.picture import UnusablePicture
from srez.options.config import Config

CELEBA_SIZE, CELEBA_CROP_CORNER, CELEBA_CROP_SIZE = (178, 218), (25, 60), 128
TOO_SMALL = "is too small for a crop of"  # in the reason of every picture that is


@dataclass(frozen=True)
class Framing:
    """Which crop of a picture becomes a sample: its size, how far it may move, and its upper left corner.

    In pixels; x and y -1: chosen by the picture's size.
    """

    size: int = 128
    wiggle: int = 8
    x: int = -1
    y: int = -1

    @classmethod
    def of(cls, config: Config) -> "Framing":
        """The framing that the options crop_* ask for."""
        return cls(config.crop_size, config.crop_wiggle, config.crop_x, config.crop_y)

    def corner(self, width: int, height: int) -> tuple[int, int]:
        """(x, y) of the crop in a picture; below 0 or too far right or down where it does not fit."""
        if self.x >= 0:
            return self.x, self.y
        x, y = (width - self.size) // 2, (height - self.size) // 2
        if (width, height) == CELEBA_SIZE:  # the face lies below the middle there
            y = min(CELEBA_CROP_CORNER[1] + (CELEBA_CROP_SIZE - self.size) // 2, height - self.size)
        return x, y

    def place(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(x, y, width, height) of a picture's window: the part in which the crop may move.

        Raises UnusablePicture where the crop does not fit into the picture.
        """
        x, y = self.corner(width, height)
        if x < 0 or y < 0 or x + self.size > width or y + self.size > height:
            at = f" at ({x}, {y})" if self.x >= 0 else ""
            raise UnusablePicture(f"{width}x{height} {TOO_SMALL} {self.size}x{self.size}{at}")
        left, top = max(0, x - self.wiggle), max(0, y - self.wiggle)
        right, bottom = x + self.size + self.wiggle, y + self.size + self.wiggle
        return left, top, min(width, right) - left, min(height, bottom) - top

    def window(self, picture: np.ndarray) -> np.ndarray:
        """The window of a picture [H, W, 3], as a view. Raises UnusablePicture where it is too small."""
        x, y, width, height = self.place(picture.shape[1], picture.shape[0])
        return picture[y : y + height, x : x + width]

    def options(self) -> dict[str, int]:
        """The options that ask for this framing, by name."""
        return {f"crop_{field.name}": getattr(self, field.name) for field in dataclasses.fields(self)}
