"""What to tell of a dataset in which the crop shows little of the faces. Only the search takes TensorFlow."""

import itertools
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from srez.data.framing import Framing
from srez.data.pack import is_pack
from srez.images.picture import PICTURE_ERRORS, UnusablePicture, read
from srez.options.config import CROP_OPTIONS, SYNTHETIC, Config
from srez.system import files
from srez.system.screen import import_tensorflow

SMALLEST_SAMPLE = 64  # of --sample_size
SAMPLE = 16  # pictures of a dataset whose headers are looked at; in half of them faces are searched
MUCH_LARGER = 1.5  # shorter side of a picture / crop, from which on the face may be larger than the crop
ENOUGH_PIXELS = 2**22  # of a picture for the search
SMALLEST_FACE = 1 / 10  # of the faces that are searched: side of the square / shorter side of the picture
# how far squares may be apart, in size and place, share of the side:
FRAMED = 0.25  # a face's square from the crop, where nothing needs to be told
AT_ONE_PLACE = 0.15  # a face's square from the median, where one crop frames them all
TURNED = range(5, 9)  # EXIF orientations with width and height exchanged


class Square(NamedTuple):
    """A square in a picture: its middle and its side, pixels."""

    x: float
    y: float
    side: float

    def apart(self, other: "Square") -> float:
        """How far another square is from this one, in place or size, as a share of this one's side."""
        return max(abs(mine - others) for mine, others in zip(self, other, strict=True)) / self.side


def advise(config: Config, names: Sequence[str]) -> str:
    """What to tell of a dataset of whose faces the crop shows little, with the remedy, on one line; or "".

    names: its pictures. Of SAMPLE of them the headers are read; where most are much larger than the crop,
    faces are searched in half of these. Only local folders, for scaled input and with the usual crop.
    """
    if not _is_local_folder(config.dataset) or not _is_usual(config) or config.noise_input:
        return ""
    sizes = sample_sizes(config.dataset, names)
    small = [size for size in sizes.values() if min(size) < config.crop_size]
    large = {path: size for path, size in sizes.items() if min(size) > MUCH_LARGER * config.crop_size}
    crop = f"the crop of {config.crop_size}x{config.crop_size}"
    if 2 * len(small) > len(sizes):
        many = f"{len(small)} of {len(sizes)} pictures looked at"
        said = f"{many} are too small for {crop}: {smaller_crop(config, names)}"
    elif 2 * (len(small) + len(large)) > len(sizes):
        said = _advise_larger(config, large, crop)
    else:
        said = ""
    return f"dataset '{config.dataset}': {said}" if said else ""


def _advise_larger(config: Config, large: dict[str, tuple[int, int]], crop: str) -> str:
    """What to tell where most pictures, path -> size, are much larger than the crop."""
    large = dict(list(large.items())[::2])  # a fifth of a second each
    squares = {path: square for path, (width, _) in large.items() if (square := _square_of_face(path, width))}
    if not squares:
        width, height = Counter(large.values()).most_common(1)[0][0]
        window = f"{config.window_side}x{config.window_side}"
        used = f"of pictures such as {width}x{height} the middle {window} pixels are used"
        return f"{used} (no face was found in {len(large)} of them): a larger --crop_size takes more"
    crops = {path: _usual_crop(config, *large[path]) for path in squares}
    if np.median([square.apart(crops[path]) for path, square in squares.items()]) < FRAMED:
        return ""
    found = f"their faces, found in {len(squares)} of {len(large)} pictures"
    if options := _one_crop(list(squares.values()), list(large.values())):
        return f"{crop} shows a part of {found}: {options} frames them"
    folder = config.dataset.rstrip("/")
    remedy = f"--align {shlex.quote(folder)} --align_to {shlex.quote(folder + '_aligned')}"
    return f"{crop} does not frame {found}: python3 download_data.py {remedy} brings them into one frame"


def smaller_crop(config: Config, names: Sequence[str]) -> str:
    """The remedy where pictures of a dataset are too small for the crop; names: its pictures."""
    if is_pack(config.dataset):
        return "pack the folder again with a smaller --crop_size"
    if not _is_local_folder(config.dataset) or not _is_usual(config):
        return "lower --crop_size" + (", or set no --crop_x" if config.crop_x >= 0 else "")
    sides = sorted(min(size) for size in sample_sizes(config.dataset, names).values())
    enough = [side for side in sides if side >= SMALLEST_SAMPLE]
    if not enough or 2 * len(enough) < len(sides):
        return f"pictures of at least {SMALLEST_SAMPLE}x{SMALLEST_SAMPLE} are needed"
    side = min(enough[len(enough) // 10], config.crop_size)  # nine of ten are as large
    sample = "" if side >= config.sample_size else f"--sample_size {SMALLEST_SAMPLE} "
    return f"train with {sample}--crop_size {side} --crop_wiggle 0, which takes most of them"


def sample_sizes(folder: str, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Width and height, by path, of SAMPLE readable pictures that are spread over a local folder's names."""
    step = -(-len(names) // SAMPLE)
    spread = (i for start in range(step) for i in range(start, len(names), step))
    sizes: dict[str, tuple[int, int]] = {}
    for index in itertools.islice(spread, 4 * SAMPLE):
        path = files.join(folder, names[index])
        if len(sizes) < SAMPLE and (size := _size(path)):
            sizes[path] = size
    return sizes


def _size(path: str) -> tuple[int, int] | None:
    """Width and height of a picture as it stands upright, from its header; None where that cannot be read."""
    try:
        with Image.open(path) as picture:
            turned = picture.getexif().get(ExifTags.Base.Orientation) in TURNED
            return picture.size[::-1] if turned else picture.size
    except PICTURE_ERRORS:
        return None


def _is_local_folder(dataset: str) -> bool:
    return not (dataset == SYNTHETIC or is_pack(dataset) or files.needs_tensorflow(dataset))


def _is_usual(config: Config) -> bool:
    """Whether no crop option was set."""
    return all(getattr(config, name) == getattr(Config, name) for name in CROP_OPTIONS)


def _usual_crop(config: Config, width: int, height: int) -> Square:
    x, y = Framing(config.crop_size).corner(width, height)
    return Square(x + config.crop_size / 2, y + config.crop_size / 2, config.crop_size)


def _square_of_face(path: str, width: int) -> Square | None:
    """The square that CelebA's crop makes of the largest face of a picture so wide; None: there is none."""
    tf = import_tensorflow()
    from srez.data.align import find_faces  # late: it takes TensorFlow, seconds

    try:
        picture = read(files.read_bytes(path), ENOUGH_PIXELS).flatten()
    except (OSError, UnusablePicture):
        return None
    with tf.device("CPU"):  # a GPU would prepare for every size of picture
        faces = find_faces(picture, SMALLEST_FACE * min(picture.shape[:2]))
    if not faces:
        return None
    times = width / picture.shape[1]  # smaller than the file has it
    return Square(*(times * n for n in (*faces[0].middle, faces[0].side)))


def _one_crop(squares: Sequence[Square], sizes: Sequence[tuple[int, int]]) -> str:
    """The options of a crop that frames all faces, by their squares and the sizes of pictures; "": none."""
    if len(squares) < max(3, len(sizes) / 2) or len(set(sizes)) > 1:
        return ""
    median = Square(*np.median(squares, 0))
    if np.mean([median.apart(square) < AT_ONE_PLACE for square in squares]) < 0.75:
        return ""
    width, height = sizes[0]
    side = min(round(median.side), width, height)
    x, y = (
        min(max(0, round(middle - side / 2)), most - side)
        for middle, most in ((median.x, width), (median.y, height))
    )
    wiggle = side * Config.crop_wiggle // Config.crop_size
    return f"--crop_size {side} --crop_x {x} --crop_y {y} --crop_wiggle {wiggle}"
