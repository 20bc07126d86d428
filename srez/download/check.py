"""Check a folder of pictures, whosever: what is damaged, too small, there more than once."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool

import numpy as np

from srez.data.advice import advise, smaller_crop
from srez.errors import UserError, as_user_error, one_line
from srez.images import find
from srez.images.picture import decode
from srez.options.config import Config
from srez.system import files
from srez.system.screen import progress

MAX_LISTED = 20  # how many names of a long list are shown


@dataclass(frozen=True)
class Finding:
    """One picture file, looked at."""

    name: str
    fault: str = ""  # why it cannot be decoded
    width: int = 0
    height: int = 0
    content: bytes = b""  # a hash of the file
    pixels: bytes = b""  # a hash of its size and pixels


def inspect(folder: str, name: str) -> Finding:
    """Decode a file of a folder as training would."""
    try:
        data = files.read_bytes(files.join(folder, name))
        (height, width, _), pixels = decode(data, lambda picture: (picture.shape, _pixels_hash(picture)))
    except ValueError as error:
        return Finding(name, one_line(error))
    except Exception as error:  # also TensorFlow's, which is not imported here
        if isinstance(error, MemoryError) or as_user_error(error) is None:
            raise
        return Finding(name, f"cannot be read: {one_line(error)}")
    return Finding(name, "", width, height, hashlib.sha256(data).digest(), pixels)


def _pixels_hash(picture: np.ndarray) -> bytes:
    """A hash of a picture's size and pixels."""
    found = hashlib.sha256(f"{picture.shape[0]}x{picture.shape[1]}".encode())
    found.update(np.ascontiguousarray(picture))
    return found.digest()


def check(folder: str, crop_size: int = Config.crop_size) -> None:
    """Decode every picture below a folder and print what is wrong with which, and what crop frames the faces.

    Raises UserError if there are none, or one is damaged or has a side below crop_size, pixels.
    """
    find.require_folder(folder, f"--check={folder}:", "name one that is there")
    names, others = find.list_pictures(folder)
    passed_over = f"; {find.passed_over(others)}" if others else ""
    if not names:
        raise UserError(
            f"--check={folder}: no pictures in it or below{passed_over}",
            f"they are {', '.join(find.EXTENSIONS)} files",
        )
    with ThreadPool() as pool:  # threads, since Pillow and numpy let others run
        findings = pool.imap(partial(inspect, folder), names, chunksize=8)
        found = list(progress(findings, total=len(names), desc="checking", unit=" files"))
    damaged = [f for f in found if f.fault]
    good = [f for f in found if not f.fault]
    small = [f for f in good if min(f.width, f.height) < crop_size]
    print(f"{folder}: {len(names):,} pictures{passed_over}")
    list_some("damaged", [f"{f.name}: {f.fault}" for f in damaged], len(damaged))
    list_some(f"smaller than {crop_size}x{crop_size}", [f"{f.name}: {f.width}x{f.height}" for f in small])
    list_some("duplicates", _duplicates(good))
    sizes = Counter(f"{f.width}x{f.height}" for f in good).most_common()
    list_some("sizes (width x height)", [f"{size}: {number:,}" for size, number in sizes])
    config = Config(dataset=folder, crop_size=crop_size)
    mostly_small = len(small) > len(good) / 2
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # a training may run on it
    if not mostly_small and (advice := advise(config, [f.name for f in good])):
        print(advice)
    if damaged or small:
        remedy = "move those away or choose a smaller --crop_size"
        raise UserError(
            f"{folder}: {len(damaged) + len(small):,} of {len(names):,} pictures cannot be used "
            f"({len(damaged):,} damaged, {len(small):,} smaller than {crop_size})",
            smaller_crop(config, [f.name for f in good]) if mostly_small else remedy,
        )


def _duplicates(found: Iterable[Finding]) -> list[str]:
    """One line for each picture that is there more than once among the undamaged."""
    same: dict[bytes, list[Finding]] = defaultdict(list)
    for finding in found:
        same[finding.pixels].append(finding)
    return [
        " = ".join(f.name for f in group)
        + ("" if len({f.content for f in group}) == 1 else " (same pixels, other files)")
        for group in same.values()
        if len(group) > 1
    ]


def list_some(title: str, lines: Sequence[str], limit: int = MAX_LISTED) -> None:
    """Print how many lines there are, and the first `limit` of them."""
    print(f"{title}: {len(lines):,}")
    for line in lines[:limit]:
        print(f"  {line}")
    if len(lines) > limit:
        print(f"  and {len(lines) - limit:,} more")
