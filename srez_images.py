"""Read, write and lay out pictures; needs no TensorFlow."""

import io
import os
import posixpath
import warnings
from collections.abc import Sequence

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

import srez_files
from srez_picture import BROKEN, require_bearable

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
JPEG_START, PROGRESSIVE, EXIF, HEADER_BYTES = b"\xff\xd8", b"\xff\xc2", b"Exif\0\0", 2**16
MORE_EXTENSIONS = (*EXTENSIONS, ".tif", ".tiff", ".gif")  # to be upscaled, not trained on

# what Pillow warns of is read nevertheless, or refused here
warnings.filterwarnings("ignore", module=r"PIL\.")


def list_pictures(folder: str, endings: Sequence[str] = EXTENSIONS) -> tuple[list[str], list[int], int]:
    """Pictures below a folder: names relative to it, sorted; their sizes in bytes; how many other files.

    Hidden files and folders are passed over and not counted; what is no file (a pipe) counts as another one;
    a link to nowhere has size 0, so that whoever reads it names it. Raises OSError or tf.errors.OpError.
    """
    sizes, others = {}, 0
    root = folder.rstrip("/") or folder
    for top, folders, files in srez_files.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".")]
        inside = top[len(root) :].strip("/").replace(os.sep, "/")
        for name in files:
            if name.startswith("."):
                continue
            size = _size(srez_files.join(top, name)) if name.lower().endswith(tuple(endings)) else None
            if size is None:
                others += 1
            else:
                sizes[posixpath.join(inside, name)] = size
    names = sorted(sizes)
    return names, [sizes[name] for name in names], others


def _size(path: str) -> int | None:
    """Bytes; 0 for a link to nowhere, None for what is no file."""
    try:
        return srez_files.size(path)
    except OSError:
        return 0


def find(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Pictures that files, folders and patterns name: path -> name, and what is wrong with the other words.

    The name is relative to the folder that was named, and the file's own otherwise. Each file counts once.
    """
    found: dict[str, tuple[str, str]] = {}
    problems = []
    for word in words:
        matches = [word] if srez_files.exists(word) else srez_files.matches(word)
        matches = [m for m in matches if m == word or srez_files.is_folder(m) or _size(m) is not None]
        if not matches:
            problems.append(f"{word}: not there")
        for path in matches:
            if not srez_files.is_folder(path):
                found.setdefault(srez_files.real(path), (path, os.path.basename(path)))
                continue
            names, _, others = list_pictures(path, MORE_EXTENSIONS)
            if not names:
                problems.append(f"{path}: holds no pictures ({others} other files)")
            for name in names:
                inside = srez_files.join(path, name)
                found.setdefault(srez_files.real(inside), (inside, name))
    return dict(found.values()), problems


def has_pictures(folder: str) -> bool:
    """Whether there is any picture below a folder; stops at the first."""
    return any(
        name.lower().endswith(EXTENSIONS) and not name.startswith(".")
        for _, _, files in srez_files.walk(folder)
        for name in files
    )


def no_pictures(folder: str, others: int = 0) -> str:
    """What to say of a folder without pictures."""
    found = f" ({others} other files)" if others else ""
    endings = ", ".join(EXTENSIONS)
    return f"dataset '{folder}' holds no pictures{found}: put {endings} files there, or --dataset synthetic"


def open_picture(data: bytes) -> Image.Image:
    """A Pillow picture of which only the header has been read. Raises ValueError with the reason."""
    try:
        picture = Image.open(io.BytesIO(data))
        require_bearable(picture)
        return picture
    except BROKEN as error:
        reason = str(error) or type(error).__name__
        raise ValueError("no picture" if "cannot identify" in reason else reason) from None


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
    except BROKEN as error:
        raise ValueError(str(error) or type(error).__name__) from None


def decode(data: bytes) -> np.ndarray:
    """A picture file's content as uint8 [height, width, 3]. Raises ValueError with the reason."""
    plain = _decode_plain_jpeg(data)
    return to_rgb(open_picture(data)) if plain is None else plain


def _decode_plain_jpeg(data: bytes) -> np.ndarray | None:
    """The same for a plain JPEG, in several threads at once; None for all others. Pillow has a lock."""
    try:
        return simplejpeg.decode_jpeg(data) if _is_plain_jpeg(data) else None
    except ValueError:  # Pillow has the better reasons, and mends what can be mended
        return None


def _is_plain_jpeg(data: bytes) -> bool:
    """Whether a file's content is a JPEG that needs no conversion.

    Of these Pillow and simplejpeg make the same numbers; of a progressive one with a hole in it they do not.
    """
    header = data[:HEADER_BYTES]
    if not header.startswith(JPEG_START) or EXIF in header or PROGRESSIVE in header:
        return False
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    return colours == "YCbCr" and height * width <= Image.MAX_IMAGE_PIXELS


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
    srez_files.write_whole(path, png(to_uint8(picture)))


def rows_of(columns: Sequence[np.ndarray]) -> np.ndarray:
    """One row per picture, one column per batch [n, h, w, 3] of `columns`: [n*h, len(columns)*w, 3]."""
    return np.concatenate([np.concatenate(list(column), axis=0) for column in columns], axis=1)


def side_by_side(pictures: np.ndarray) -> np.ndarray:
    """A batch [n, h, w, 3] as one row: [h, n*w, 3]."""
    return np.concatenate(list(pictures), axis=1)
