"""Picture files: below a folder, or named by words of a command line. Needs no TensorFlow."""

import os
import posixpath
from collections import Counter
from collections.abc import Sequence

from srez.errors import UserError
from srez.system import files

EXTENSIONS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".heic", ".heif", ".hif", ".avif")
MORE_EXTENSIONS = (*EXTENSIONS, ".tif", ".tiff", ".gif")  # to be upscaled, not trained on
KINDS_TOLD, LONGEST_KIND = 5, 10  # how many kinds of other files are named; longer endings are none


def list_pictures(
    folder: str, extensions: Sequence[str] = EXTENSIONS
) -> tuple[list[str], list[int], Counter[str]]:
    """Pictures below a folder: names relative to it, sorted; their sizes in bytes; how many other files.

    The others are counted by their ending in lower case, such as ".mov"; "": without one, or a pipe.
    Hidden files and folders are passed over and not counted; a link to nowhere has size 0, so that whoever
    reads it names it. Raises OSError or tf.errors.OpError.
    """
    sizes: dict[str, int] = {}
    others: Counter[str] = Counter()
    root = folder.rstrip("/") or folder
    for top, folders, found in files.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".")]
        inside = top[len(root) :].strip("/").replace(os.sep, "/")
        for name in found:
            if name.startswith("."):
                continue
            if not name.lower().endswith(tuple(extensions)):
                others[_kind(name)] += 1
            elif (size := _size(files.join(top, name))) is None:
                others[""] += 1
            else:
                sizes[posixpath.join(inside, name)] = size
    names = sorted(sizes)
    return names, [sizes[name] for name in names], others


def _kind(name: str) -> str:
    """A file name's ending in lower case; "" where it has none, or one that is rather a part of the name."""
    ending = os.path.splitext(name)[1].lower()
    return ending if ending[1:].isalnum() and len(ending) <= LONGEST_KIND else ""


def passed_over(others: Counter[str]) -> str:
    """What to tell of a folder's other files: "15 other files passed over (12 .mov, 3 .txt)"."""
    kinds = sorted((kind for kind in others if kind), key=lambda kind: (-others[kind], kind))[:KINDS_TOLD]
    told = [f"{others[kind]:,} {kind}" for kind in kinds]
    if rest := others.total() - sum(others[kind] for kind in kinds):
        told.append(f"{rest:,} of other kinds" if kinds else "of no known kind")
    plural = "" if others.total() == 1 else "s"
    return f"{others.total():,} other file{plural} passed over ({', '.join(told)})"


def _size(path: str) -> int | None:
    """A file's size in bytes; 0 for a link to nowhere, None for what is no file."""
    try:
        return files.size(path)
    except OSError:
        return 0


def find_pictures(words: Sequence[str]) -> tuple[dict[str, str], list[tuple[str, str]], list[str]]:
    """Pictures that files, folders and patterns name: path -> name; other words, each with what is wrong.

    The name is relative to the folder that was named, and the file's own otherwise. Each file counts once.
    Third a line for every folder with pictures and other files, which says what was passed over.
    """
    found: dict[str, tuple[str, str]] = {}
    problems, others_told = [], []
    for word in words:
        matches = [word] if files.exists(word) else files.matches(word)
        matches = [m for m in matches if m == word or files.is_folder(m) or _size(m) is not None]
        if not matches:
            problems.append((word, "not there"))
        for path in matches:
            if not files.is_folder(path):
                found.setdefault(files.real(path), (path, os.path.basename(path)))
                continue
            names, _, others = list_pictures(path, MORE_EXTENSIONS)
            if not names:
                problems.append((path, _holds_none(others)))
            elif others:
                others_told.append(f"{path}: {passed_over(others)}")
            for name in names:
                inside = files.join(path, name)
                found.setdefault(files.real(inside), (inside, name))
    return dict(found.values()), problems, others_told


def has_pictures(folder: str) -> bool:
    """Whether there is a picture below a folder that is not hidden; stops at the first."""
    return any(
        name.lower().endswith(EXTENSIONS) and not name.startswith(".")
        for _, _, names in files.walk(folder)
        for name in names
    )


def no_pictures(folder: str, others: Counter[str]) -> UserError:
    """What to raise for a dataset folder without pictures, which holds these other files."""
    remedy = f"put {', '.join(EXTENSIONS)} files there, or --dataset synthetic"
    return UserError(f"dataset '{folder}' {_holds_none(others)}", remedy)


def _holds_none(others: Counter[str]) -> str:
    return f"holds no pictures; {passed_over(others)}" if others else "holds no pictures"
