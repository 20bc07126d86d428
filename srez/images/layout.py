"""Pictures side by side, and as PNG files. Needs no TensorFlow."""

import functools
import io
import re
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from srez.system import files

TITLED_SIDE, TITLE_HEIGHT = 256, 28  # pixels of a picture under a title, and of a line of text
FACE_SIDE = 128  # least pixels of a face that is shown to people
GRID_FACES = 10  # held-out faces in a grid, as in 2017
# titles of a grid's columns, by --input
GRID_COLUMNS = {"scaled": ("input", "bicubic", "output", "truth"), "noise": ("noise", "output")}
GRID_NAME, STRIP_NAME = "batch{:06d}_out_l.png", "gen_batch{:06d}_out_s.png"  # files in train_dir, by batch


def batch_of_grid(name: str) -> int | None:
    """The batch of a grid, by its file's name in train_dir; None for other files."""
    pattern = re.escape(GRID_NAME).replace(re.escape("{:06d}"), r"(\d{6,})")
    match = re.fullmatch(pattern, name)
    return int(match[1]) if match else None


def to_uint8(pictures: np.ndarray) -> np.ndarray:
    """Pictures in [0, 1] as uint8, clipped and rounded to 0..255."""
    return np.clip(np.asarray(pictures) * 255.0 + 0.5, 0, 255).astype(np.uint8)


def png(picture: np.ndarray) -> bytes:
    """A uint8 picture [height, width, 3] as a PNG file's content."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def jpeg(picture: np.ndarray, quality: int = 95, subsampling: str = "4:4:4") -> bytes:
    """A uint8 picture [height, width, 3] as a JPEG file's content; subsampling: how chroma is stored."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
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


def enlarge(pictures: np.ndarray, side: int = FACE_SIDE) -> np.ndarray:
    """Square pictures [..., n, n, 3], pixels repeated: [..., m, m, 3], m the least multiple of n >= side."""
    factor = -(-side // pictures.shape[-2])
    return pictures.repeat(factor, -3).repeat(factor, -2)


def titled_row(columns: Sequence[tuple[str, np.ndarray]], side: int = TITLED_SIDE) -> np.ndarray:
    """Square uint8 pictures [n, n, 3] side by side, each `side` pixels wide under its title: [h, w, 3].

    Those of up to a quarter of `side` show their pixels, larger ones are resized with Lanczos.
    """
    return titled_columns([(title, [picture]) for title, picture in columns], side)


def titled_columns(
    columns: Sequence[tuple[str, Sequence[np.ndarray]]], side: int = TITLED_SIDE
) -> np.ndarray:
    """Columns of square uint8 pictures as in `titled_row`, each column under its title: [h, w, 3]."""
    head, gap = TITLE_HEIGHT, side // 32
    step, rows = side + gap, max(len(pictures) for _, pictures in columns)
    whole = Image.new("RGB", (len(columns) * step - gap, head + rows * step - gap), "white")
    pen = ImageDraw.Draw(whole)
    for i, (title, pictures) in enumerate(columns):
        for k, picture in enumerate(pictures):
            pixels = 4 * len(picture) <= side
            how = Image.Resampling.NEAREST if pixels else Image.Resampling.LANCZOS
            shown = Image.fromarray(picture).resize((side, side), how)
            whole.paste(shown, (i * step, head + k * step))
        pen.text((i * step + side / 2, head / 2), title, "black", _font(title, side), anchor="mm")
    return np.asarray(whole)


def captioned(picture: np.ndarray, *texts: str) -> np.ndarray:
    """A uint8 picture [h, w, 3] over a line that texts share evenly: [h + TITLE_HEIGHT, w, 3]."""
    height, width = picture.shape[:2]
    whole = Image.new("RGB", (width, height + TITLE_HEIGHT), "white")
    whole.paste(Image.fromarray(picture), (0, 0))
    pen, share, margin = ImageDraw.Draw(whole), width / len(texts), TITLE_HEIGHT / 4
    for i, text in enumerate(texts):
        place = i * share + margin, height + TITLE_HEIGHT / 2
        pen.text(place, text, "black", _font(text, share - 2 * margin), anchor="lm")
    return np.asarray(whole)


def _font(text: str, width: float) -> ImageFont.FreeTypeFont:
    """The font of a line of text, smaller where the text would be wider than `width`."""
    font = _font_of_size(0.6 * TITLE_HEIGHT)
    longest = font.getlength(text)
    return font if longest <= width else _font_of_size(max(1, font.size * width / longest))


@functools.lru_cache(maxsize=64)
def _font_of_size(size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # which unpacks it every time
