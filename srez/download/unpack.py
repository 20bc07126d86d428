"""A dataset folder made whole or not at all, and the safe unpacking of a zip into one."""

import contextlib
import errno
import filecmp
import json
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from srez.download.fetch import Archive
from srez.errors import UserError
from srez.images import find
from srez.system.files import existing_above, named, write_whole
from srez.system.screen import progress

# Pictures are made in STAGE, MARKER is written when all are made, then they are moved out. So a picture of
# ours is always in MARKER, and what of MARKER is not there yet is missing, not foreign.
MARKER = ".srez_pictures.json"  # in a dataset: its source, names and sizes
STAGE = ".srez_unfinished"  # in a dataset that is being made; hidden, so that no training looks into it
MAX_EXPANSION = 4  # times the zip's size: JPEGs hardly compress, whatever grows more is no set of pictures
MAX_PICTURE = 1 << 24  # bytes


def free_bytes(folder: Path) -> int:
    """How many bytes are free on the disk that a folder is on, or would be made on."""
    return shutil.disk_usage(existing_above(folder)).free


def require_room(folder: Path, needed: int) -> None:
    """Raise UserError if `needed` bytes do not fit below a folder."""
    free = free_bytes(folder)
    if free < needed:
        raise UserError(
            f"{folder}: its disk has {free / 1e9:.2f} GB free and {needed / 1e9:.2f} GB are needed",
            "make room or choose another --dest",
        )


@dataclass(frozen=True)
class Marker:
    """What this command has put into a folder."""

    source: str
    files: dict[str, int]  # name: size in bytes


def read_marker(dest: Path) -> Marker:
    """The marker of a dataset, an empty one if there is none. Raises UserError if it is damaged."""
    path = dest / MARKER
    if not path.exists():
        return Marker("", {})
    try:
        contents = json.loads(path.read_text())
        return Marker(str(contents["source"]), dict(contents["files"]))
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{path}: is damaged", "delete it and move the pictures beside it away") from None


def survey(dest: Path, source: str) -> Marker:
    """The marker of `dest`, less the pictures that were lost since.

    Raises UserError where a dataset cannot be made without touching other pictures, or being mixed with them.
    """
    if dest.exists() and not dest.is_dir():
        raise UserError(f"{dest}: is a file", "choose another --dest")
    marker = read_marker(dest)
    present, _ = find.list_pictures(str(dest))
    if marker.source not in ("", source):
        raise UserError(f"{dest}: holds pictures of --source {marker.source}", "choose another --dest")
    for name, size in marker.files.items():
        if present.get(name, size) != size:
            raise UserError(
                f"{dest / name}: has changed ({present[name]:,} bytes, was {size:,})",
                "move it away or delete it, then the same command puts it back",
            )
    other = [name for name in present if name not in marker.files]
    if other and not marker.source:
        raise UserError(
            f"{dest}: holds {len(other):,} pictures that this command did not put there, {other[0]} for one",
            "choose another --dest, or train on them as they are (--check looks at them)",
        )
    if other:
        print(f"{dest}: {len(other):,} other pictures in it are left alone; a training takes them too")
    kept = {name: size for name, size in marker.files.items() if name in present}
    if len(kept) < len(marker.files):
        print(f"{dest}: {len(marker.files) - len(kept):,} of {len(marker.files):,} pictures are missing")
    return Marker(source, kept)


def make_dataset(dest: Path, marker: Marker, names: Sequence[str], fill: Callable[[Path], None]) -> None:
    """Let `fill` make the files `names` in a folder, then move them into `dest` and add them to its marker.

    Whatever goes wrong before the move leaves `dest` as it was. Raises UserError rather than replace a file.
    """
    created = not dest.exists()
    stage = dest / STAGE
    if stage.exists():
        print(f"{dest}: an earlier call was interrupted, beginning again")
        shutil.rmtree(stage)
    stage.mkdir(parents=True)
    try:
        with named(str(dest)):
            fill(stage)
        for name in names:
            if os.path.lexists(dest / name) and not filecmp.cmp(stage / name, dest / name, shallow=False):
                raise UserError(f"{dest / name}: is there already", "move it away, nothing is replaced")
        contents = {"source": marker.source, "files": marker.files | find.list_pictures(str(stage))[0]}
        write_whole(str(dest / MARKER), json.dumps(contents).encode())
    except BaseException:
        shutil.rmtree(stage)
        if created:
            with contextlib.suppress(OSError):  # somebody else has put something there meanwhile
                dest.rmdir()
        raise
    for name in names:
        os.replace(stage / name, dest / name)
    stage.rmdir()


def has_all(dest: Path, marker: Marker, wanted: int) -> bool:
    """Whether the folder holds all that is wanted; if so, says it."""
    if len(marker.files) >= wanted:
        print(f"{dest}: {len(marker.files):,} pictures, all there")
    return len(marker.files) >= wanted


def unpack(path: Path, dest: Path, archive: Archive, marker: Marker, wanted: int) -> None:
    """Unpack the first `wanted` pictures of a zip, by name, that the marker does not have.

    Raises UserError, with `dest` as it was, if the zip is damaged or could write where or what it should not.
    """
    try:
        with zipfile.ZipFile(path) as file:
            members = dict(sorted(safe_members(path, file, archive).items())[:wanted])
            new = {name: info for name, info in members.items() if name not in marker.files}
            require_room(dest, sum(-(-info.file_size // 4096) * 4096 for info in new.values()))
            make_dataset(dest, marker, list(new), lambda stage: _extract(file, new, stage))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: is damaged ({error})", f"fetch it again from {archive.page}") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the file's beginning, which a damaged table names
            raise
        raise UserError(f"{path}: is damaged", f"fetch it again from {archive.page}") from None


def safe_members(path: Path, file: zipfile.ZipFile, archive: Archive) -> dict[str, zipfile.ZipInfo]:
    """The pictures of a zip by the name that they will have. Raises UserError if anything else is in it."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in file.infolist():
        full = info.orig_filename  # as stored: ZipInfo.filename is already changed for this system
        if full == archive.folder + "/":
            continue
        name = full.removeprefix(archive.folder + "/")
        if danger := _danger(name, info) or ("is there twice" if name.lower() in members else ""):
            problem = f"{path}: {ascii(full)[:80]} {danger}: nothing was unpacked"
            raise UserError(problem, "do not use this zip")
        members[name.lower()] = info
    total = sum(info.file_size for info in members.values())
    if total > MAX_EXPANSION * archive.size:
        raise UserError(f"{path}: would grow to {total:,} bytes: nothing was unpacked", "do not use this zip")
    if len(members) != archive.members:
        raise UserError(
            f"{path}: has {len(members):,} pictures instead of {archive.members:,}",
            f"fetch it again from {archive.page}",
        )
    return {info.orig_filename.removeprefix(archive.folder + "/"): info for info in members.values()}


def _danger(name: str, info: zipfile.ZipInfo) -> str:
    """Why a member must not be unpacked; "" if it may."""
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or device"
    # One plain name: no folder, "..", drive, backslash, control character or hidden file gets through.
    if not re.fullmatch(r"\w[\w-]*\.jpg", name, re.ASCII):
        return "is not a plain picture name"
    return "is too large for a picture" if info.file_size > MAX_PICTURE else ""


def _extract(file: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], stage: Path) -> None:
    for name, info in progress(members.items(), total=len(members), desc="unpacking", unit=" files"):
        with file.open(info) as member:
            data = member.read(info.file_size + 1)  # one more: a member that lies shows it
        if len(data) != info.file_size:
            raise zipfile.BadZipFile(f"{name} has {len(data):,} bytes, {info.file_size:,} were announced")
        (stage / name).write_bytes(data)
