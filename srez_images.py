"""Read, write and lay out pictures; no TensorFlow unless a path is remote (gs://, ram://)."""

import io
import os
import posixpath
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def is_remote(path: str) -> bool:
    """Whether a path belongs to one of TensorFlow's filesystems."""
    return "://" in path


def gfile():
    """TensorFlow's file functions; imported late, since local paths do without."""
    import tensorflow as tf

    return tf.io.gfile


def join(folder: str, name: str) -> str:
    """Folder and name as one path, local or remote."""
    return posixpath.join(folder, name) if is_remote(folder) else os.path.join(folder, name)


def is_folder(path: str) -> bool:
    return gfile().isdir(path) if is_remote(path) else os.path.isdir(path)


def read_bytes(path: str) -> bytes:
    """A file's content. Raises OSError (local) or tf.errors.OpError (remote)."""
    with gfile().GFile(path, "rb") if is_remote(path) else open(path, "rb") as file:
        return file.read()


def write_whole(path: str, data: bytes) -> None:
    """Write a file so that its name only ever holds the whole of `data`: temporary name, then rename."""
    folder, name = os.path.split(path)
    temporary = join(folder, f".{name}.{os.getpid()}.tmp")
    if is_remote(path):
        with gfile().GFile(temporary, "wb") as file:
            file.write(data)
        gfile().rename(temporary, path, overwrite=True)
        return
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


def _walk(folder: str):
    if is_remote(folder):
        yield from ((top.rstrip("/"), folders, files) for top, folders, files in gfile().walk(folder))
        return
    for top, folders, files in os.walk(folder, followlinks=True):
        above = os.path.realpath(top)  # a link to a folder above would never end
        folders[:] = [f for f in folders if not f"{above}/".startswith(os.path.realpath(join(top, f)) + "/")]
        yield top, folders, files


def _size(path: str) -> int:
    return gfile().stat(path).length if is_remote(path) else os.stat(path).st_size


def list_pictures(folder: str) -> tuple[list[str], list[int], int]:
    """Pictures below a folder: names relative to it, sorted; their sizes in bytes; how many other files.

    Hidden files and folders are passed over and not counted. Raises OSError or tf.errors.OpError.
    """
    names, others = [], 0
    root = folder.rstrip("/") or folder
    for top, folders, files in _walk(root):
        folders[:] = [f for f in folders if not f.startswith(".")]
        inside = top[len(root) :].strip("/").replace(os.sep, "/")
        for name in files:
            if name.startswith("."):
                continue
            if name.lower().endswith(EXTENSIONS):
                names.append(posixpath.join(inside, name))
            else:
                others += 1
    names.sort()
    return names, [_size(join(folder, name)) for name in names], others


def has_pictures(folder: str) -> bool:
    """Whether there is any picture below a folder; stops at the first."""
    return any(
        name.lower().endswith(EXTENSIONS) and not name.startswith(".")
        for _, _, files in _walk(folder)
        for name in files
    )


def open_picture(data: bytes) -> Image.Image:
    """A Pillow picture of which only the header has been read. Raises ValueError with the reason."""
    try:
        return Image.open(io.BytesIO(data))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("no picture" if "cannot identify" in str(error) else str(error)) from None


def to_rgb(picture: Image.Image) -> np.ndarray:
    """All of a Pillow picture as uint8 [height, width, 3]: upright, transparency over white.

    Greyscale, palette, CMYK and 16-bit pictures are converted. Raises ValueError with the reason where
    the data is damaged.
    """
    try:
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith(("I", "F")):  # 16-bit greyscale; Pillow's own conversion would clip at 255
            grey = np.asarray(picture).astype(np.float64)
            picture = Image.fromarray(np.clip(grey / 257 + 0.5, 0, 255).astype(np.uint8))
        if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
            picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture)
        return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, IndexError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(str(error) or type(error).__name__) from None


def decode(data: bytes) -> np.ndarray:
    """A picture file's content as uint8 [height, width, 3]. Raises ValueError with the reason."""
    return to_rgb(open_picture(data))


def to_uint8(pictures: np.ndarray) -> np.ndarray:
    """Pictures in [0, 1], clipped and rounded to 0..255."""
    return np.clip(np.asarray(pictures) * 255.0 + 0.5, 0, 255).astype(np.uint8)


def png(picture: np.ndarray) -> bytes:
    """A uint8 picture [height, width, 3] as a PNG file's content."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def write_png(path: str, picture: np.ndarray) -> None:
    """Write a picture [height, width, 3] in [0, 1] as PNG, whole or not at all."""
    write_whole(path, png(to_uint8(picture)))


def rows_of(columns: Sequence[np.ndarray]) -> np.ndarray:
    """One row per picture, one column per batch [n, h, w, 3] of `columns`: [n*h, len(columns)*w, 3]."""
    return np.concatenate([np.concatenate(list(column), axis=0) for column in columns], axis=1)


def side_by_side(pictures: np.ndarray) -> np.ndarray:
    """A batch [n, h, w, 3] as one row: [h, n*w, 3]."""
    return np.concatenate(list(pictures), axis=1)
