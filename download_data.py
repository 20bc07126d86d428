#!/usr/bin/env python3
"""Put a dataset into a folder: CelebA, drawn faces or faces of photographs; or check or pack a folder."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from srez.data.framing import Framing
from srez.data.pack import EXTENSION
from srez.download.align import LEAST_FACE, MIN_FACE, align
from srez.download.celeba import CELEBA_SOURCE, celeba
from srez.download.check import check
from srez.download.drawn import synthetic
from srez.download.fetch import CELEBA, Archive
from srez.download.pack import pack
from srez.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_USER, UserError, as_user_error
from srez.options.config import CROP_OPTIONS, SYNTHETIC, Config
from srez.system import files

EPILOG = """\
examples:
  download_data.py                                     CelebA (1.4 GB) into dataset/
  download_data.py --archive img_align_celeba.zip      the same from a zip fetched by hand
  download_data.py --source synthetic --count 5000 --dest drawn
  download_data.py --align my_photos --align_to faces  their faces, framed as in CelebA
  download_data.py --check my_pictures                 which pictures can be trained on?
  download_data.py --pack my_pictures --pack_to faces.pack"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message, "--help shows all options")


# Which options belong to which mode; all are None unless given.
OPTIONS = {
    CELEBA_SOURCE: ("dest", "count", "url", "archive", "keep_archive"),
    SYNTHETIC: ("dest", "count"),
    "check": ("crop_size",),
    "pack": ("pack_to", *CROP_OPTIONS),
    "align": ("align_to", "min_face"),
}
LEAST = {"count": 1, "crop_size": 1, "crop_wiggle": 0, "crop_x": -1, "crop_y": -1, "min_face": LEAST_FACE}


def parse(argv: Sequence[str] | None) -> tuple[str, argparse.Namespace]:
    """The mode, a key of OPTIONS, and its options. Raises UserError on one that is wrong."""
    parser = _Parser("download_data", description=__doc__, epilog=EPILOG, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    folder, file = ({"metavar": kind, "type": files.expand} for kind in ("FOLDER", "FILE"))
    add("--source", choices=(CELEBA_SOURCE, SYNTHETIC), help="photographs, or drawn faces [celeba]")
    add("--dest", **folder, help="where the pictures go [dataset]")
    add("--count", type=int, metavar="N", help="only the first N pictures [celeba: all]")
    add("--url", action="append", metavar="URL", help="a mirror, asked before Google Drive; may be repeated")
    add("--archive", **file, help="take this zip, fetched by hand, instead of fetching one")
    add("--keep_archive", action="store_true", default=None, help="keep the fetched zip beside the folder")
    add("--check", **folder, help="decode every picture of a folder and report; changes nothing")
    add("--pack", **folder, help="decode the faces of a folder into one file, trained on faster")
    add("--pack_to", **file, help="that file [the folder's name with .pack]")
    add("--align", **folder, help="find all faces of a folder's photographs, bring them upright into")
    framed = "this folder, framed as in CelebA (178x218), and named after them"
    add("--align_to", **folder | {"metavar": "OUT"}, help=framed)
    smallest = f"side of a face that is taken, at least, for --align, pixels [{MIN_FACE}]"
    add("--min_face", type=int, metavar="N", help=smallest)
    side = f"side for --check and --pack, pixels [{Config.crop_size}]"
    add("--crop_size", type=int, metavar="N", help=side)
    for name in CROP_OPTIONS[1:]:
        add(f"--{name}", type=int, metavar="N", help=f"as in training, for --pack [{getattr(Config, name)}]")
    args = parser.parse_args(argv)
    given = [name for name in ("check", "pack", "align", "source") if getattr(args, name) is not None]
    if len(given) > 1:
        first, second = given[:2]
        raise UserError(
            f"--{first} with --{second}={getattr(args, second)}: a folder is {first}ed as it is",
            f"leave --{second} out",
        )
    mode = args.source or (given[0] if given else CELEBA_SOURCE)
    for name in sorted(set().union(*OPTIONS.values()).difference(OPTIONS[mode])):
        if getattr(args, name) is not None:
            raise UserError(f"--{name}: has no meaning with {mode}", "leave it out")
    _check_values(mode, args)
    return mode, args


def _check_values(mode: str, args: argparse.Namespace) -> None:
    for name, least in LEAST.items():
        if getattr(args, name) is not None and getattr(args, name) < least:
            raise UserError(f"--{name}={getattr(args, name)}", f"must be at least {least}")
    if mode == "align" and args.align_to is None:
        raise UserError(
            f"--align={args.align}: nothing says where the faces go", "name a folder with --align_to"
        )
    if mode == SYNTHETIC and args.count is None:
        raise UserError("--source=synthetic: drawn faces never end", "say how many with --count")
    files.require_local("archive", args.archive, "must be a local file; an address is --url")
    if args.archive is not None and args.url:
        raise UserError("--archive with --url: a zip that is there is not fetched", "leave one of them out")
    for url in args.url or ():
        if not url.startswith(("http://", "https://")):
            raise UserError(f"--url={url}", "must begin with http:// or https:// (a file: --archive)")
    files.require_local("dest", args.dest, "must be a local folder, copy it from there")


def run(mode: str, args: argparse.Namespace, archive: Archive) -> None:
    """Do what the command line says. Raises UserError, OSError."""
    dest = Path(args.dest or "dataset").resolve()
    if mode == "check":
        check(args.check, args.crop_size or Config.crop_size)
    elif mode == "pack":
        given = {name: n for name in CROP_OPTIONS if (n := getattr(args, name)) is not None}
        path = Path(args.pack_to or args.pack.rstrip("/") + EXTENSION).resolve()
        pack(args.pack, path, Framing.of(Config(**given)))
    elif mode == "align":
        align(args.align, args.align_to, args.min_face or MIN_FACE)
    elif mode == SYNTHETIC:
        synthetic(dest, args.count)
    else:
        zip_path = Path(args.archive) if args.archive else None
        keep = bool(args.keep_archive)
        celeba(dest, archive, args.url or (), zip_path, keep=keep, count=args.count)


def main(argv: Sequence[str] | None = None, archive: Archive = CELEBA) -> int:
    """The command; returns its exit code."""
    try:
        run(*parse(argv), archive)
    except KeyboardInterrupt:
        return _say("interrupted: the same command takes it up again", EXIT_INTERRUPTED)
    except Exception as error:
        if (problem := as_user_error(error)) is None:
            raise
        return _say(str(problem), EXIT_USER)
    return EXIT_DONE


def _say(message: str, code: int) -> int:
    print(f"download_data: {' '.join(message.split())}", file=sys.stderr)
    return code


def command() -> NoReturn:
    """What the command `srez-data` and `python3 download_data.py` do."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())


if __name__ == "__main__":
    command()
