"""Pictures side by side, and as PNG files. Needs no TensorFlow."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from srez.system import files

TITLED_SIDE, TITLE_HEIGHT = 256, 28  # pixels of a picture in a row with titles, and of these
GRID_FACES = 10  # held-out faces in a grid, as in 2017
GRID_NAME, STRIP_NAME = "batch{:06d}_out_l.png", "gen_batch{:06d}_out_s.png"  # files in train_dir, by batch


def to_uint8(pictures: np.ndarray) -> np.ndarray:
    """Pictures in [0, 1] as uint8, clipped and rounded to 0..255."""
    return np.clip(np.asarray(pictures) * 255.0 + 0.5, 0, 255).astype(np.uint8)


def png(picture: np.ndarray) -> bytes:
    """A uint8 picture [height, width, 3] as a PNG file's content."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def write_png(path: str, picture: np.ndarray) -> None:
    """Write a picture [height, width, 3] in [0, 1] as PNG, whole or not at all."""
    files.write_whole(path, png(to_uint8(picture)))


def columns_to_grid(columns: Sequence[np.ndarray]) -> np.ndarray:
    """One row per picture, one column per batch [n, h, w, 3] of `columns`: [n*h, len(columns)*w, 3]."""
    return np.concatenate([np.concatenate(list(column), axis=0) for column in columns], axis=1)


def side_by_side(pictures: np.ndarray) -> np.ndarray:
    """A batch [n, h, w, 3] as one row: [h, n*w, 3]."""
    return np.concatenate(list(pictures), axis=1)


def titled_row(columns: Sequence[tuple[str, np.ndarray]], side: int = TITLED_SIDE) -> np.ndarray:
    """Square uint8 pictures [n, n, 3] side by side, each `side` pixels wide under its title: [h, w, 3].

    Those of up to a quarter of `side` show their pixels, larger ones are resized with Lanczos.
    """
    head, gap = TITLE_HEIGHT, side // 32
    font = ImageFont.load_default(0.6 * head)
    row = Image.new("RGB", (len(columns) * (side + gap) - gap, head + side), "white")
    pen = ImageDraw.Draw(row)
    for i, (title, picture) in enumerate(columns):
        x = i * (side + gap)
        pixels = 4 * len(picture) <= side
        how = Image.Resampling.NEAREST if pixels else Image.Resampling.LANCZOS
        row.paste(Image.fromarray(picture).resize((side, side), how), (x, head))
        pen.text((x + side / 2, head / 2), title, "black", font, anchor="mm")
    return np.asarray(row)
