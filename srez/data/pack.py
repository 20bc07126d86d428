"""Packs: the windows of a folder's pictures, decoded once, in one memory-mapped file.

Layout: MAGIC, then PREAMBLE (where the header lies, its length, its SHA-256), then the windows, uint8
[h, w, 3] one after the other, then the header, a JSON object:
    options      the crop_* options that chose the windows
    fingerprint  of the folder
    names        of its pictures, relative to it, in their order
    windows      for each picture [offset, height, width, CRC-32], or the reason why it cannot be used
"""

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

import numpy as np

from srez.data.windows import Windows
from srez.errors import UserError, as_user_error, one_line
from srez.images.picture import UnusablePicture
from srez.system import files

EXTENSION = ".pack"
MAGIC = b"srez pack 1\n"
PREAMBLE = struct.Struct("<QQ32s")
WINDOWS_START = len(MAGIC) + PREAMBLE.size


def is_pack(path: str) -> bool:
    """Whether --dataset names a pack, not a folder."""
    return path.endswith(EXTENSION) and not os.path.isdir(path)


class Pack:
    """An opened pack. Its windows may be read from several threads."""

    def __init__(self, path: str, options: Mapping[str, int]):
        """Raises UserError where the pack is damaged, or made with other crop_* options than `options`."""
        self.path = path
        try:
            with open(path, "rb") as file:
                header = _read_header(file)
            self._bytes = np.memmap(path, np.uint8, "r").view(np.ndarray)  # whose slices are cheaper
        except OSError as error:
            cause = as_user_error(error)
            raise UserError(f"dataset '{path}' cannot be read ({cause.problem})", cause.remedy) from None
        except ValueError as error:
            raise self._unusable(one_line(error)) from None
        self.names: list[str] = header["names"]
        self.fingerprint: str = header["fingerprint"]
        self._windows: list[list[int] | str] = header["windows"]
        places = ((0, 0, 0) if isinstance(entry, str) else entry[:3] for entry in self._windows)
        self._places = np.array(list(places), np.int64).reshape(-1, 3)
        self._checked = np.zeros(len(self.names), bool)
        for name, wanted in options.items():
            if header["options"][name] != wanted:
                raise UserError(
                    f"dataset '{path}' was packed with --{name}={header['options'][name]}, not "
                    f"--{name}={wanted}",
                    "give the former, or pack the folder again",
                )

    def window(self, index: int) -> np.ndarray:
        """A picture's window, uint8 [h, w, 3], read-only; its checksum is compared when it is first read.

        Raises UnusablePicture where the folder's picture was, UserError where the window was altered since.
        """
        entry = self._windows[index]
        if isinstance(entry, str):
            raise UnusablePicture(entry)
        self._check(index)
        offset, height, width, _ = entry
        return self._bytes[offset : offset + height * width * 3].reshape(height, width, 3)

    def windows(self, indices: np.ndarray) -> Windows:
        """Where the windows of pictures, int [n], lie; height 0 where the folder's picture could not be used.

        Raises UserError where one was altered since.
        """
        starts, heights, widths = self._places[indices].T
        for index in indices[~self._checked[indices] & (heights > 0)].tolist():
            self._check(index)
        return Windows(self._bytes, starts, widths * 3, heights, widths)

    def _check(self, index: int) -> None:
        """Raise UserError where a window was altered, when it is first read."""
        if self._checked[index]:
            return
        offset, height, width, checksum = self._windows[index]
        if zlib.crc32(self._bytes[offset : offset + height * width * 3]) != checksum:
            raise self._unusable(f"{self.names[index]} was altered in it")
        self._checked[index] = 1

    def _unusable(self, reason: str) -> UserError:
        return UserError(
            f"dataset '{self.path}' cannot be used ({reason})",
            "pack the folder again with python3 download_data.py --pack",
        )


def _read_header(file: BinaryIO) -> dict:
    """The header of an opened pack. Raises ValueError where it is damaged, or the file has another length."""
    start, size = file.read(WINDOWS_START), os.fstat(file.fileno()).st_size
    if not start.startswith(MAGIC) or len(start) < WINDOWS_START:
        raise ValueError("no pack of srez")
    offset, length, digest = PREAMBLE.unpack(start[len(MAGIC) :])
    if offset + length != size:
        raise ValueError(f"{size:,} bytes long, should be {offset + length:,}")
    file.seek(offset)
    data = file.read(length)
    if hashlib.sha256(data).digest() != digest:
        raise ValueError("its header was altered")
    return json.loads(data)


def write_pack(
    path: str,
    options: Mapping[str, int],
    fingerprint: str,
    names: Sequence[str],
    windows: Iterable[np.ndarray | str],
) -> None:
    """Write a pack, whole or not at all. `windows`: in the order of names, or why a picture has none."""
    with files.whole_file(path) as file:
        file.write(bytes(WINDOWS_START))
        entries: list[list[int] | str] = []
        for window in windows:
            if isinstance(window, str):
                entries.append(window)
                continue
            data = window.tobytes()
            entries.append([file.tell(), *window.shape[:2], zlib.crc32(data)])
            file.write(data)
        header = {"options": dict(options), "fingerprint": fingerprint, "names": names, "windows": entries}
        data = json.dumps(header).encode()
        preamble = PREAMBLE.pack(file.tell(), len(data), hashlib.sha256(data).digest())
        file.write(data)
        file.seek(0)
        file.write(MAGIC + preamble)
