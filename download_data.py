#!/usr/bin/env python3
"""Put a dataset into a folder: CelebA fetched and unpacked, or drawn faces; or check a folder of pictures."""

import argparse
import hashlib
import io
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NoReturn

from PIL import Image

import srez_files
import srez_images
from srez_config import EXIT_DONE, EXIT_INTERRUPTED, EXIT_USER, SYNTHETIC, Config, UserError, one_line
from srez_download import CELEBA, PATIENT, Archive, Patience, fault_of, fetch, kept_bytes, progress
from srez_unpack import existing_above, has_all, make_dataset, require_room, survey, unpack

CELEBA_SOURCE = "celeba"
NAMED = 20  # how many names of a long list are shown
TERMS = """\
CelebA (Liu, Luo, Wang, Tang: Deep Learning Face Attributes in the Wild, ICCV 2015), its terms in short:
 - for non-commercial research purposes only;
 - the images are from the internet and not the property of MMLAB, The Chinese University of Hong Kong;
 - do not reproduce, sell or exploit for commercial purposes any portion of the images or of derived data;
 - do not publish or distribute any portion of it; copies within one site of one organization are allowed.
The whole agreement: {page}"""
EPILOG = """\
examples:
  download_data.py                                     CelebA (1.4 GB) into dataset/
  download_data.py --archive img_align_celeba.zip      the same from a zip fetched by hand
  download_data.py --source synthetic --count 5000 --dest drawn
  download_data.py --check my_pictures                 which pictures can be trained on?"""


# A dataset folder: pictures are made in STAGE, MARKER is written when all are made, then they are moved out.
# So a picture of ours is always in MARKER, and what of MARKER is not there yet is missing, not foreign.


# CelebA


def celeba(
    dest: Path,
    archive: Archive = CELEBA,
    *,
    urls: Sequence[str] = (),
    zip_path: Path | None = None,
    keep: bool = False,
    count: int | None = None,
    patience: Patience = PATIENT,
) -> None:
    """Fetch and unpack the first `count` pictures of CelebA (all by default) into `dest`.

    `urls` are asked before Google Drive; `zip_path` is a zip that is there already; `keep`: the fetched zip
    stays beside `dest`. Raises UserError, OSError.
    """
    wanted = archive.members if count is None else count
    if wanted > archive.members:
        raise UserError(f"--count={wanted}: {archive.name} has {archive.members:,} pictures")
    marker = survey(dest, CELEBA_SOURCE)
    if has_all(dest, marker, wanted):
        return
    print(TERMS.format(page=archive.page), flush=True)
    own = dest.parent / archive.name
    part = own.with_name(own.name + ".part")
    if zip_path is None and own.exists():
        zip_path = own
    if zip_path is not None:
        require_archive(zip_path, archive)
    else:
        require_room_for_all(part, dest, archive, wanted - len(marker.files))
        part.parent.mkdir(parents=True, exist_ok=True)
        fetch(archive, [*urls, archive.drive_url], part, patience)
    unpack(zip_path or part, dest, archive, marker, wanted)
    if zip_path is None:
        part.rename(own) if keep else part.unlink()
    has_all(dest, survey(dest, CELEBA_SOURCE), wanted)


def require_archive(path: Path, archive: Archive) -> None:
    """Raise UserError if a file is not the archive."""
    if not path.is_file():
        raise UserError(f"{path}: no such file: fetch it from {archive.page}")
    if fault := fault_of(path, archive):
        raise UserError(
            f"{path}: {fault}: move it away and fetch {archive.name} again, from {archive.page} "
            "(other pictures: unpack them yourself, any folder of pictures can be trained on)"
        )


def require_room_for_all(part: Path, dest: Path, archive: Archive, pictures: int) -> None:
    """Raise UserError if what is still to be fetched, and then unpacked, will not fit."""
    fetched = archive.size - kept_bytes(part, archive)
    unpacked = archive.size * pictures // archive.members
    if existing_above(part.parent).stat().st_dev == existing_above(dest).stat().st_dev:
        require_room(part.parent, fetched + unpacked)
    else:
        require_room(part.parent, fetched)
        require_room(dest, unpacked)


# Drawn faces


def synthetic(dest: Path, count: int) -> None:
    """Write drawn faces 1 to `count` as JPEG files into `dest`. Raises UserError, OSError."""
    marker = survey(dest, SYNTHETIC)
    if has_all(dest, marker, count):
        return
    new = {n: f"{n:06d}.jpg" for n in range(1, count + 1) if f"{n:06d}.jpg" not in marker.files}
    require_room(dest, 16384 * len(new))  # one of them has about 12 kB
    make_dataset(dest, marker, list(new.values()), lambda stage: _draw_all(new, stage))
    has_all(dest, survey(dest, SYNTHETIC), count)
    print("These faces are drawn by the program, they are not photographs.")


def _draw_all(names: dict[int, str], stage: Path) -> None:
    import srez_faces  # late: the other modes do without

    def write(item: tuple[int, str]) -> None:
        buffer = io.BytesIO()
        Image.fromarray(srez_faces.draw(item[0])).save(buffer, "JPEG", quality=95)
        (stage / item[1]).write_bytes(buffer.getvalue())

    for _ in _in_parallel(write, names.items(), len(names), "drawing"):
        pass


def _in_parallel(work: Callable, items: Iterable, total: int, what: str) -> Iterable:
    """Results of `work` in the order of the items; threads, since Pillow and numpy let others run."""
    pool = ThreadPool()
    try:
        results = pool.imap(work, items, chunksize=8)
        yield from progress(iterable=results, total=total, desc=what, unit=" files")
    finally:
        pool.terminate()
        pool.join()  # none may still be writing while the caller clears up


# A folder of pictures, whosever


@dataclass(frozen=True)
class Finding:
    """One picture file, looked at."""

    name: str
    fault: str = ""  # why it cannot be decoded
    width: int = 0
    height: int = 0
    content: bytes = b""  # a hash of the file
    pixels: bytes = b""  # a hash of its size and pixels


def inspect(folder: str, name: str, unreadable: tuple[type[Exception], ...] = (OSError,)) -> Finding:
    """Decode one file as training would; `unreadable` are the errors of its filesystem."""
    try:
        data = srez_files.read_bytes(srez_files.join(folder, name))
        picture = srez_images.decode(data)
    except unreadable as error:
        return Finding(name, f"cannot be read: {one_line(error)}")
    except ValueError as error:
        return Finding(name, one_line(error))
    height, width, _ = picture.shape
    pixels = hashlib.sha256(f"{height}x{width}".encode() + picture.tobytes()).digest()
    return Finding(name, "", width, height, hashlib.sha256(data).digest(), pixels)


def check(folder: str, crop_size: int = Config.crop_size) -> None:
    """Decode every picture below a folder and print what is wrong with which.

    Raises UserError if there are none, or one is damaged or has a side below crop_size, pixels.
    """
    unreadable = (OSError,)
    if srez_files.is_remote(folder):
        import tensorflow as tf  # late, since it takes seconds

        unreadable = (OSError, tf.errors.OpError)
    if not srez_files.is_folder(folder):
        raise UserError(f"--check={folder}: no such folder")
    names, _, others = srez_images.list_pictures(folder)
    if not names:
        raise UserError(f"--check={folder}: no pictures in it or below ({', '.join(srez_images.EXTENSIONS)})")
    found = list(_in_parallel(lambda name: inspect(folder, name, unreadable), names, len(names), "checking"))
    damaged = [f for f in found if f.fault]
    small = [f for f in found if not f.fault and min(f.width, f.height) < crop_size]
    print(f"{folder}: {len(names):,} pictures, {others:,} other files")
    _list("damaged", [f"{f.name}: {f.fault}" for f in damaged], len(damaged))
    _list(f"smaller than {crop_size}x{crop_size}", [f"{f.name}: {f.width}x{f.height}" for f in small], NAMED)
    _list("duplicates", _duplicates(found), NAMED)
    sizes = Counter(f"{f.width}x{f.height}" for f in found if not f.fault).most_common()
    _list("sizes (width x height)", [f"{size}: {number:,}" for size, number in sizes], NAMED)
    if damaged or small:
        raise UserError(
            f"{folder}: {len(damaged) + len(small):,} of {len(names):,} pictures cannot be used "
            f"({len(damaged):,} damaged, {len(small):,} smaller than {crop_size}): "
            "move those away or choose a smaller --crop_size"
        )


def _duplicates(found: Iterable[Finding]) -> list[str]:
    """One line for each picture that is there more than once."""
    same: dict[bytes, list[Finding]] = defaultdict(list)
    for finding in found:
        if not finding.fault:
            same[finding.pixels].append(finding)
    return [
        " = ".join(f.name for f in group)
        + ("" if len({f.content for f in group}) == 1 else " (same pixels, other files)")
        for group in same.values()
        if len(group) > 1
    ]


def _list(title: str, lines: Sequence[str], limit: int) -> None:
    print(f"{title}: {len(lines):,}")
    for line in lines[:limit]:
        print(f"  {line}")
    if len(lines) > limit:
        print(f"  and {len(lines) - limit:,} more")


# Command line


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help shows all options)")


# Which options belong to which mode; all are None unless given.
OPTIONS = {
    CELEBA_SOURCE: ("dest", "count", "url", "archive", "keep_archive"),
    SYNTHETIC: ("dest", "count"),
    "check": ("crop_size",),
}


def parse(argv: Sequence[str] | None) -> tuple[str, argparse.Namespace]:
    """The mode, a key of OPTIONS, and its options. Raises UserError on one that is wrong."""
    parser = _Parser("download_data", description=__doc__, epilog=EPILOG, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--source", choices=(CELEBA_SOURCE, SYNTHETIC), help="photographs, or drawn faces [celeba]")
    add("--dest", metavar="FOLDER", help="where the pictures go [dataset]")
    add("--count", type=int, metavar="N", help="only the first N pictures [celeba: all]")
    add("--url", action="append", metavar="URL", help="a mirror, asked before Google Drive; may be repeated")
    add("--archive", metavar="FILE", help="take this zip, fetched by hand, instead of fetching one")
    add("--keep_archive", action="store_true", default=None, help="keep the fetched zip beside the folder")
    add("--check", metavar="FOLDER", help="decode every picture of a folder and report; changes nothing")
    add("--crop_size", type=int, metavar="N", help=f"smallest side, pixels, for --check [{Config.crop_size}]")
    args = parser.parse_args(argv)
    if args.check is not None and args.source is not None:
        raise UserError(
            f"--check with --source={args.source}: a folder is checked as it is, leave --source out"
        )
    mode = "check" if args.check is not None else args.source or CELEBA_SOURCE
    for name in sorted({name for names in OPTIONS.values() for name in names}.difference(OPTIONS[mode])):
        if getattr(args, name) is not None:
            raise UserError(f"--{name}: has no meaning with {mode}, leave it out")
    _check_values(mode, args)
    return mode, args


def _check_values(mode: str, args: argparse.Namespace) -> None:
    for name in ("count", "crop_size"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise UserError(f"--{name}={getattr(args, name)}: must be at least 1")
    if mode == SYNTHETIC and args.count is None:
        raise UserError("--source=synthetic: drawn faces never end, say how many with --count")
    if args.archive is not None and args.url:
        raise UserError("--archive with --url: a zip that is there is not fetched, leave one of them out")
    for url in args.url or ():
        if not url.startswith(("http://", "https://")):
            raise UserError(f"--url={url}: must begin with http:// or https:// (a file: --archive)")
    if args.dest is not None and srez_files.is_remote(args.dest):
        raise UserError(f"--dest={args.dest}: must be a local folder, copy it from there")


def run(mode: str, args: argparse.Namespace, archive: Archive, patience: Patience) -> None:
    """Do what the command line says. Raises UserError, OSError."""
    dest = Path(args.dest or "dataset").resolve()
    if mode == "check":
        check(args.check, args.crop_size or Config.crop_size)
    elif mode == SYNTHETIC:
        synthetic(dest, args.count)
    else:
        zip_path = Path(args.archive) if args.archive else None
        celeba(
            dest,
            archive,
            urls=args.url or (),
            zip_path=zip_path,
            keep=bool(args.keep_archive),
            count=args.count,
            patience=patience,
        )


def main(argv: Sequence[str] | None = None, archive: Archive = CELEBA, patience: Patience = PATIENT) -> int:
    """The command; returns its exit code."""
    try:
        run(*parse(argv), archive, patience)
    except UserError as error:
        return _say(str(error), EXIT_USER)
    except OSError as error:
        what = f"{error.filename or 'a file'}: {error.strerror or error}"
        return _say(f"{what}: mend that, then give the same command again", EXIT_USER)
    except KeyboardInterrupt:
        return _say("interrupted: the same command takes it up again", EXIT_INTERRUPTED)
    return EXIT_DONE


def _say(message: str, code: int) -> int:
    print(f"download_data: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
