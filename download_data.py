#!/usr/bin/env python3
"""Put a dataset into a folder: CelebA fetched and unpacked, or drawn faces; or check a folder of pictures."""

import argparse
import contextlib
import io
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NoReturn

from PIL import Image

import srez_files
import srez_pack
from srez_check import NAMED, check, list_some
from srez_config import (
    CROP_OPTIONS,
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_USER,
    SYNTHETIC,
    Config,
    UserError,
)
from srez_download import CELEBA, PATIENT, Archive, Patience, fault_of, fetch, kept_bytes, progress
from srez_unpack import existing_above, has_all, make_dataset, require_room, survey, unpack

CELEBA_SOURCE = "celeba"
WORTH_A_PROCESS = 150  # drawn faces; fewer are drawn sooner than a process has started
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
  download_data.py --check my_pictures                 which pictures can be trained on?
  download_data.py --pack my_pictures --pack_to faces.pack"""


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
    try:
        with contextlib.closing(_drawn(list(names))) as files:
            watched = progress(iterable=files, total=len(names), desc="drawing", unit=" files")
            for name, data in zip(names.values(), watched, strict=True):
                (stage / name).write_bytes(data)
    except BrokenProcessPool:
        raise UserError("a process that drew was ended, out of memory? Give the same command again") from None


def _drawn(numbers: Sequence[int]) -> Iterator[bytes]:
    """Drawn faces as JPEG files, in order. In processes: drawing holds a lock that threads would wait for."""
    workers = min(os.cpu_count() or 1, len(numbers) // WORTH_A_PROCESS)
    if workers < 2:
        yield from map(_jpeg, numbers)
        return
    # spawn: what forks while threads run may stand still
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        yield from pool.map(_jpeg, numbers, chunksize=16)
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Begin a drawing process: signals are its parent's business, but it does not outlive a killed parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(2))  # time for the parent, if both were meant
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _jpeg(number: int) -> bytes:
    import srez_faces  # late: the other modes do without

    buffer = io.BytesIO()
    Image.fromarray(srez_faces.draw(number)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


# A folder of pictures, packed


def pack(folder: str, path: Path, options: Mapping[str, int]) -> None:
    """Write the windows of a folder's pictures into one file to train from. Raises UserError, OSError."""
    if not srez_files.is_folder(folder):
        raise UserError(f"--pack={folder}: no such folder")
    if path.suffix != srez_pack.ENDING:
        raise UserError(f"--pack_to={path}: must end in {srez_pack.ENDING}")
    if path.exists():
        raise UserError(f"--pack_to={path}: is there already, move it away or choose another name")
    import srez_source  # late: it takes TensorFlow, seconds

    framing = srez_source.Framing(**{name.removeprefix("crop_"): n for name, n in options.items()})
    count, damaged = srez_source.pack_folder(folder, str(path), framing, _in_blocks)
    list_some("damaged, left out", [f"{name}: {reason}" for name, reason in sorted(damaged.items())], NAMED)
    print(f"{path}: {count:,} pictures, {path.stat().st_size / 1e6:,.0f} MB; to train on: --dataset {path}")


def _in_blocks(work: Callable, items: Sequence, size: int = 256) -> Iterator:
    """Results of `work` in order, made in threads, never more than a block ahead of who takes them."""
    with ThreadPool() as pool:
        blocks = (pool.map(work, items[i : i + size]) for i in range(0, len(items), size))
        yield from progress(
            iterable=itertools.chain.from_iterable(blocks), total=len(items), desc="packing", unit=" files"
        )


# Command line


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help shows all options)")


# Which options belong to which mode; all are None unless given.
OPTIONS = {
    CELEBA_SOURCE: ("dest", "count", "url", "archive", "keep_archive"),
    SYNTHETIC: ("dest", "count"),
    "check": ("crop_size",),
    "pack": ("pack_to", *CROP_OPTIONS),
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
    add("--pack", metavar="FOLDER", help="decode the faces of a folder into one file, trained on faster")
    add("--pack_to", metavar="FILE", help="that file [the folder's name with .pack]")
    add(
        "--crop_size",
        type=int,
        metavar="N",
        help=f"side for --check and --pack, pixels [{Config.crop_size}]",
    )
    for name in CROP_OPTIONS[1:]:
        add(f"--{name}", type=int, metavar="N", help=f"as in training, for --pack [{getattr(Config, name)}]")
    args = parser.parse_args(argv)
    chosen = [name for name in ("check", "pack", "source") if getattr(args, name) is not None]
    if len(chosen) > 1:
        first, second = chosen[:2]
        raise UserError(
            f"--{first} with --{second}={getattr(args, second)}: a folder is {first}ed as it is, "
            f"leave --{second} out"
        )
    mode = chosen[0] if chosen and chosen[0] != "source" else args.source or CELEBA_SOURCE
    for name in sorted({name for names in OPTIONS.values() for name in names}.difference(OPTIONS[mode])):
        if getattr(args, name) is not None:
            raise UserError(f"--{name}: has no meaning with {mode}, leave it out")
    _check_values(mode, args)
    return mode, args


def _check_values(mode: str, args: argparse.Namespace) -> None:
    for name, least in (("count", 1), ("crop_size", 1), ("crop_wiggle", 0), ("crop_x", -1), ("crop_y", -1)):
        if getattr(args, name) is not None and getattr(args, name) < least:
            raise UserError(f"--{name}={getattr(args, name)}: must be at least {least}")
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
    elif mode == "pack":
        options = {name: getattr(args, name) for name in CROP_OPTIONS}
        options = {name: getattr(Config, name) if n is None else n for name, n in options.items()}
        pack(args.pack, Path(args.pack_to or args.pack.rstrip("/") + srez_pack.ENDING).resolve(), options)
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
