"""A user's picture of any kind: read as red, green, blue, written in its own mode. Needs no TensorFlow.

EXIF orientation is applied and dropped; a colour profile is kept where it still fits; of an animation the
first frame is taken. What cannot be kept is told in `notes`. HEIC and HEIF are read by pillow-heif, which
turns them upright itself; all else, AVIF too, by Pillow.
"""

import contextlib
import dataclasses
import io
import itertools
import math
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageCms, ImageOps
from pillow_heif import register_heif_opener

from srez.errors import one_line

PICTURE_ERRORS = (  # what Pillow raises of damaged or unsuitable pictures
    *(OSError, ValueError, TypeError, LookupError, EOFError, SyntaxError, ArithmeticError),
    *(AttributeError, MemoryError, RuntimeError, struct.error, zlib.error, Image.DecompressionBombError),
)
LARGEST = 200_000_000  # pixels of a picture that is read at all
LARGEST_WHOLE = 89_478_485  # that is kept whole, to be enlarged; Pillow's own limit
LARGE = 50_000_000  # of pictures with more, one at a time is decoded: 200 million take 2 GB, or 3
JPEG_SCALES = (1, 2, 4, 8)  # by which a JPEG can be made smaller while it is decoded
# parts of a JPEG file; OTHER_FRAMES: all but baseline and extended sequential coding
JPEG_START, START_OF_SCAN, APP1, EXIF = b"\xff\xd8", b"\xff\xda", b"\xff\xe1", b"Exif\0\0"
END_OF_JPEG = b"\xff\xd9"
OTHER_FRAMES = {bytes([0xFF, n]) for n in range(0xC2, 0xD0) if n not in (0xC4, 0xC8, 0xCC)}
ENDINGS = {"png": ".png", "jpg": ".jpg", "webp": ".webp", "tiff": ".tif"}
_SAVE_OPTIONS = {
    "png": {"format": "PNG", "compress_level": 4},
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "quality": 95},
    "tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
}
# modes that a file can hold, and which the others become
_FILE_MODES = {
    "png": ("1", "L", "LA", "RGB", "RGBA", "I;16"),
    "jpg": ("L", "RGB", "CMYK"),
    "webp": ("RGB", "RGBA"),
    "tiff": ("1", "L", "LA", "RGB", "RGBA", "I;16", "CMYK"),
}
_NEXT_MODE = {"1": "L", "I;16": "L", "L": "RGB", "LA": "RGBA", "RGBA": "RGB", "CMYK": "RGB"}
_MODE_NAMES = {
    **{"1": "black and white", "L": "greyscale", "LA": "transparency", "I;16": "16-bit greyscale"},
    **{"RGB": "colour", "RGBA": "transparency", "CMYK": "CMYK"},
}
_PROFILE_MODES = {b"GRAY": ("1", "L", "LA", "I;16"), b"RGB ": ("RGB", "RGBA"), b"CMYK": ("CMYK",)}
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)

warnings.filterwarnings("ignore", module=r"PIL\.")  # what Pillow warns of is read nevertheless, or refused
Image.MAX_IMAGE_PIXELS = LARGEST // 2  # Pillow refuses a header that tells of more than twice as many
register_heif_opener()  # HEIC and HEIF; AVIF is Pillow's own
_one_large = threading.RLock()
Made = TypeVar("Made")


class UnusablePicture(ValueError):
    """A picture that is damaged or otherwise cannot be used; its text is the reason, on one line."""


@dataclasses.dataclass
class Picture:
    """A decoded picture, and how to write it: mode is Pillow's, profile an ICC profile's bytes.

    rgb [h, w, 3], uint8 or (16-bit greyscale) uint16; alpha uint8 [h, w] or None; notes: what was not kept.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None
    mode: str
    profile: bytes | None
    notes: list[str]

    @property
    def is_grey(self) -> bool:
        """Whether it has no colours."""
        return self.mode in _PROFILE_MODES[b"GRAY"]

    def encode(self, rgb: np.ndarray, format: str) -> bytes:
        """The content of a file with this picture, enlarged to `rgb` [H, W, 3]. Raises ValueError."""
        mode = self.mode
        while mode not in _FILE_MODES[format]:
            mode = _NEXT_MODE[mode]
        if mode != self.mode:
            self.notes.append(f"{format} holds no {_MODE_NAMES[self.mode]}: written as {mode}")
        fits = self.profile and mode in _PROFILE_MODES.get(self.profile[16:20], ())
        profile = self.profile if fits else None
        buffer = io.BytesIO()
        try:
            picture = self.to_pillow(rgb, mode)
            picture.save(buffer, icc_profile=profile, **_SAVE_OPTIONS[format])
        except PICTURE_ERRORS as error:
            size = f"{rgb.shape[1]}x{rgb.shape[0]}"
            raise ValueError(f"{size} cannot be written as {format} ({_reason(error)})") from None
        return buffer.getvalue()

    def flatten(self) -> np.ndarray:
        """The picture as uint8 [h, w, 3], transparency over white."""
        if self.alpha is None and self.rgb.dtype == np.uint8:
            return self.rgb
        return np.asarray(self.to_pillow(self.rgb, "RGB"))

    def to_pillow(self, rgb: np.ndarray, mode: str = "") -> Image.Image:
        """The picture, enlarged to `rgb` [H, W, 3], as Pillow's, in its own mode where no other is named."""
        mode = mode or self.mode
        if mode == "I;16":
            return Image.fromarray((rgb.astype(np.float32) @ LUMINANCE + 0.5).astype(np.uint16))
        if rgb.dtype == np.uint16:
            rgb = (rgb / np.float32(257) + 0.5).astype(np.uint8)
        picture = Image.fromarray(rgb)
        if self.alpha is not None:
            alpha = Image.fromarray(self.alpha).resize(picture.size, Image.Resampling.LANCZOS)
            picture.putalpha(alpha)
        if self.alpha is not None and mode == "RGB":
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        if mode == "1":
            return picture.convert("L").point(lambda value: 255 * (value >= 128), "1")
        if mode == "CMYK":
            return _convert(picture, None, self.profile, "CMYK")
        return picture.convert(mode)


def read(data: bytes, max_pixels: int | None = None) -> Picture:
    """Decode a picture file's content, whole or, if it has more than `max_pixels`, made smaller.

    max_pixels: a picture of up to LARGEST (200 million) pixels becomes one of at most that many, by a whole
    number that notes tell: a JPEG while it is decoded, which needs little memory, others by averages.
    None: nothing is made smaller, and what has more than LARGEST_WHOLE (89 million) pixels is refused.
    Raises UnusablePicture.
    """
    with _reasons():
        return _read(Image.open(io.BytesIO(data)), max_pixels)


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """What Pillow raises in the block, as UnusablePicture."""
    try:
        yield
    except Image.UnidentifiedImageError:
        raise UnusablePicture("no picture that can be read") from None
    except PICTURE_ERRORS as error:
        raise UnusablePicture(_reason(error)) from None


def from_pillow(picture: Image.Image) -> Picture:
    """A Pillow picture of any mode. Raises UnusablePicture."""
    with _reasons():
        return _read(picture, None)


def _read(picture: Image.Image, max_pixels: int | None) -> Picture:
    size = picture.size
    if max_pixels is None and math.prod(size) > LARGEST_WHOLE:
        raise ValueError(f"{size[0]}x{size[1]} is more than {LARGEST_WHOLE / 1e6:.0f} million pixels")
    notes = []
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format not in ("MPO", "HEIF"):  # of which the photograph itself is taken
        notes.append(f"first of {frames} frames")
    profile, bits = picture.info.get("icc_profile"), _bits(picture)
    picture, times = _load(picture, max_pixels or LARGEST_WHOLE)
    picture = _upright(picture)
    if times > 1:
        notes.append(f"read at 1/{times} of its size, {picture.width}x{picture.height}")
    if bits > 8 and not picture.mode.startswith("I"):
        notes.append(f"{bits} bits a channel are read as 8")
    if picture.mode.startswith("I"):
        return Picture(_grey16(picture), None, "I;16", profile, notes)
    if picture.mode == "CMYK":
        return Picture(np.asarray(_convert(picture, profile, None, "RGB")), None, "CMYK", profile, notes)
    mode = _mode(picture)
    if mode not in (picture.mode, "LA", "RGBA"):
        notes.append(f"{'palette' if picture.mode == 'P' else picture.mode} becomes {mode}")
    alpha = None
    if mode in ("LA", "RGBA"):
        picture = picture.convert("RGBA")
        alpha = np.asarray(picture.getchannel("A"))
    if picture.mode != "RGB":  # else it would be copied
        picture = picture.convert("RGB")
    return Picture(np.asarray(picture), alpha, mode, profile, notes)


def _bits(picture: Image.Image) -> int:
    """Bits a channel of a file's picture that is not yet decoded: more than 8 where that is known, else 8."""
    if tile := getattr(picture, "tile", None):
        return 16 if ";16" in str(tile[0][3]) else 8
    return picture.info.get("bit_depth", 8)  # of HEIC


def _load(picture: Image.Image, max_pixels: int) -> tuple[Image.Image, int]:
    """A file's picture decoded, and how many times smaller each way: at most max_pixels, as `read` has it."""
    times = 1
    if picture.format in ("JPEG", "MPO"):
        times = _times(picture.size, max_pixels, [n for n in JPEG_SCALES if n <= min(picture.size)])
        if times > 1:
            picture.draft(None, (picture.width // times, picture.height // times))
    picture.load()
    more = _times(picture.size, max_pixels, itertools.count(1))
    if more == 1:
        return picture, times
    if picture.mode.startswith("I"):
        picture = picture.convert("I")
    elif picture.mode != "CMYK":  # colours of a palette and single bits have no averages
        mode = _mode(picture)
        picture = picture.convert("L" if mode == "1" else mode)
    return picture.reduce(more), times * more


def _times(size: tuple[int, int], max_pixels: int, choices: Iterable[int]) -> int:
    """The first of the ascending `choices` by which a size becomes one of at most max_pixels, or the last."""
    for times in choices:
        if math.prod(-(-n // times) for n in size) <= max_pixels:
            break
    return times


def _mode(picture: Image.Image) -> str:
    """The mode in which a picture is written again."""
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no known range: save it with 8 or 16 bits")
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in picture.info:
        return "LA" if grey else "RGBA"
    return picture.mode if grey else "RGB"


def _upright(picture: Image.Image) -> Image.Image:
    """EXIF orientation applied; a picture whose EXIF data is damaged stays as it lies."""
    try:
        lies_right = picture.getexif().get(ExifTags.Base.Orientation, 1) == 1
        return picture if lies_right else ImageOps.exif_transpose(picture)  # which would copy it
    except PICTURE_ERRORS:
        return picture


def _grey16(picture: Image.Image) -> np.ndarray:
    grey = np.asarray(picture)
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError("greyscale values beyond 16 bits")
    return np.repeat(grey.astype(np.uint16)[..., None], 3, axis=-1)


def _convert(picture: Image.Image, source: bytes | None, target: bytes | None, mode: str) -> Image.Image:
    """A picture in another colour space: from or to that of a CMYK profile, where it is usable, and sRGB."""
    with contextlib.suppress(ImageCms.PyCMSError, OSError):  # an unusable profile counts as none
        if source or target:
            ends = [ImageCms.ImageCmsProfile(io.BytesIO(p)) if p else ImageCms.createProfile("sRGB")
                    for p in (source, target)]  # fmt: skip
            return ImageCms.profileToProfile(picture, *ends, outputMode=mode)
    return picture.convert(mode)


def _reason(error: BaseException) -> str:
    return one_line(error) or type(error).__name__


def decode(data: bytes, then: Callable[[np.ndarray], Made] = lambda picture: picture) -> Made:
    """What `then` makes of a file's picture, uint8 [h, w, 3], upright, transparency over white.

    By default the picture. It may have LARGEST pixels; of those with more than LARGE only one at a time is
    decoded and held until `then` is done, in whatever threads. Raises UnusablePicture.
    """
    plain = None
    with contextlib.suppress(ValueError):  # Pillow has the better reasons, and mends what can be mended
        plain = plain_jpeg_size(data)
    size = plain or size_of(data)
    with _one_large if math.prod(size) > LARGE else contextlib.nullcontext():
        picture = None
        if plain:
            with contextlib.suppress(ValueError):
                picture = simplejpeg.decode_jpeg(data)  # in several threads at once; Pillow has a lock
        return then(read(data, LARGEST).flatten() if picture is None else picture)


def size_of(data: bytes) -> tuple[int, int]:
    """(width, height) of a picture; `data`: its file, or the beginning of that. Raises UnusablePicture."""
    with _reasons():
        return Image.open(io.BytesIO(data)).size


def plain_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG of which simplejpeg and TensorFlow make the numbers of `read`, else None.

    That is one without EXIF data, in YCbCr, not progressive: of one of these with a hole in it the two make
    different numbers. Raises ValueError where it is damaged.
    """
    if not data.startswith(JPEG_START):
        return None
    position = len(JPEG_START)
    while (marker := data[position : position + 2]) != START_OF_SCAN:
        length = int.from_bytes(data[position + 2 : position + 4])
        if marker[:1] != b"\xff" or length < 2 or marker in OTHER_FRAMES:
            return None
        if marker == APP1 and data[position + 4 : position + 10] == EXIF:
            return None
        position += 2 + length
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    return (width, height) if colours == "YCbCr" and height * width <= LARGEST else None
