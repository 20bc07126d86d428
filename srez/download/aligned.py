"""A folder of aligned faces, with a list of what became of each photograph."""

import itertools
import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from srez.errors import UserError
from srez.images import find
from srez.system import files

LIST = ".srez_aligned.tsv"  # hidden, so that a training does not count it among other files
ENDING = ".jpg"  # of faces
NO_FACE, ONLY_SMALLER, UNREADABLE = "no face", "only smaller faces", "unreadable: "
_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
_UNESCAPES = {escape: character for character, escape in _ESCAPES.items()}


class Row(NamedTuple):
    """What became of a picture: its size in bytes, why it gave no face, and the files of those it gave."""

    size: int
    reason: str
    faces: tuple[str, ...]

    @property
    def unreadable(self) -> str:
        """Why the picture cannot be read; "" where it can."""
        return self.reason.removeprefix(UNREADABLE) if self.reason.startswith(UNREADABLE) else ""


class AlignedFaces:
    """A folder of aligned faces; `rows`: picture -> what became of it, as its list has it.

    The list is text: a line with the photographs' folder and the least size of a face, then a line a picture,
    columns separated by tabs. A picture's line is written before its faces are: every face is listed, and a
    picture of which a listed face is missing is to be done again.
    """

    def __init__(self, folder: str, photographs: str, min_face: int):
        """Open or make the folder. Raises UserError where it holds anything else, OSError."""
        self.folder = folder
        self.rows: dict[str, Row] = {}
        self._owners: dict[str, str] = {}  # of files of faces, in lower case: their pictures
        self._path = os.path.join(folder, LIST)
        title = ["faces of", photographs, "at least", str(min_face)]
        os.makedirs(folder, exist_ok=True)
        self._present = set(find.list_pictures(folder)[0])
        if os.path.exists(self._path):
            self._read(title)
        listed = {file for row in self.rows.values() for file in row.faces}
        if others := sorted(self._present - listed):
            raise UserError(
                f"--align_to={folder}: holds {len(others):,} pictures that this command did not put there, "
                f"{others[0]} for one",
                "choose another folder",
            )
        if not os.path.exists(self._path):
            self._append(title)

    def _read(self, title: Sequence[str]) -> None:
        lines = files.read_bytes(self._path).decode("utf-8", "surrogateescape").split("\n")
        first, *rest = [[_unescape(column) for column in line.split("\t")] for line in lines]
        if first != title:
            raise UserError(
                f"--align_to={self.folder}: was made with other options ({' '.join(first)})",
                f"give these, or choose another folder (its list is {LIST})",
            )
        try:
            for name, size, reason, *faces in (columns for columns in rest[:-1] if len(columns) > 1):
                self.rows[name] = Row(int(size), reason, tuple(faces))
        except ValueError:
            raise UserError(f"{self._path}: is damaged", "choose another --align_to") from None
        for name, row in self.rows.items():
            self._owners.update((file.lower(), name) for file in row.faces)
        if torn := len(lines[-1].encode("utf-8", "surrogateescape")):  # whoever wrote it was ended meanwhile
            os.truncate(self._path, os.path.getsize(self._path) - torn)

    def _append(self, columns: Sequence[str]) -> None:
        line = "\t".join(column.translate(str.maketrans(_ESCAPES)) for column in columns) + "\n"
        with files.named(self._path), open(self._path, "ab") as file:
            file.write(line.encode("utf-8", "surrogateescape"))

    def reserve(self, names: Iterable[str]) -> None:
        """Keep the name of every picture for its own first face."""
        for name in names:
            self._owners.setdefault(_face_name(name, 1).lower(), name)

    def is_done(self, name: str, size: int) -> bool:
        """Whether a picture of so many bytes was searched, and all its faces are there."""
        row = self.rows.get(name)
        return bool(row) and row.size == size and not row.unreadable and self._present.issuperset(row.faces)

    def put(self, name: str, size: int, reason: str, faces: Sequence[bytes]) -> None:
        """Write the files of a picture's faces, none of another's name; reason: why there are none.

        Raises OSError.
        """
        before = self.rows.get(name, Row(0, "", ()))
        for file in self._present.intersection(before.faces):
            os.remove(os.path.join(self.folder, file))
        candidates = (_face_name(name, number) for number in itertools.count(1))
        free = (file for file in candidates if self._owners.setdefault(file.lower(), name) == name)
        row = Row(size, reason, tuple(itertools.islice(free, len(faces))))
        if row != before:
            self._append([name, str(size), reason, *row.faces])
            self.rows[name] = row
        for file, data in zip(row.faces, faces, strict=True):
            path = os.path.join(self.folder, file)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            files.write_whole(path, data)


def _face_name(name: str, number: int) -> str:
    """The file of a picture's face, counted from 1."""
    stem = os.path.splitext(name)[0]
    return f"{stem}{ENDING}" if number == 1 else f"{stem}_{number}{ENDING}"


def _unescape(column: str) -> str:
    return re.sub(r"\\[\\tnr]", lambda found: _UNESCAPES[found[0]], column)
