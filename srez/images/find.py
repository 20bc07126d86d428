"""Picture files: below a folder, or named by words of a command line. Needs no TensorFlow."""

import os
import posixpath
from collections.abc import Sequence

from srez.errors import UserError
from srez.system import files

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MORE_EXTENSIONS = (*EXTENSIONS, ".tif", ".tiff", ".gif")  # to be upscaled, not trained on


def list_pictures(folder: str, extensions: Sequence[str] = EXTENSIONS) -> tuple[list[str], list[int], int]:
    """Pictures below a folder: names relative to it, sorted; their sizes in bytes; how many other files.

    Hidden files and folders are passed over and not counted; what is no file (a pipe) counts as another one;
    a link to nowhere has size 0, so that whoever reads it names it. Raises OSError or tf.errors.OpError.
    """
    sizes, others = {}, 0
    root = folder.rstrip("/") or folder
    for top, folders, found in files.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".")]
        inside = top[len(root) :].strip("/").replace(os.sep, "/")
        for name in found:
            if name.startswith("."):
                continue
            size = _size(files.join(top, name)) if name.lower().endswith(tuple(extensions)) else None
            if size is None:
                others += 1
            else:
                sizes[posixpath.join(inside, name)] = size
    names = sorted(sizes)
    return names, [sizes[name] for name in names], others


def _size(path: str) -> int | None:
    """A file's size in bytes; 0 for a link to nowhere, None for what is no file."""
    try:
        return files.size(path)
    except OSError:
        return 0


def find_pictures(words: Sequence[str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Pictures that files, folders and patterns name: path -> name; other words, each with what is wrong.

    The name is relative to the folder that was named, and the file's own otherwise. Each file counts once.
    """
    found: dict[str, tuple[str, str]] = {}
    problems = []
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
                problems.append((path, f"holds no pictures ({others} other files)"))
            for name in names:
                inside = files.join(path, name)
                found.setdefault(files.real(inside), (inside, name))
    return dict(found.values()), problems


def has_pictures(folder: str) -> bool:
    """Whether there is a picture below a folder that is not hidden; stops at the first."""
    return any(
        name.lower().endswith(EXTENSIONS) and not name.startswith(".")
        for _, _, names in files.walk(folder)
        for name in names
    )


def no_pictures(folder: str, others: int = 0) -> UserError:
    """What to raise for a dataset folder without pictures, which holds so many other files."""
    found = f" ({others} other files)" if others else ""
    remedy = f"put {', '.join(EXTENSIONS)} files there, or --dataset synthetic"
    return UserError(f"dataset '{folder}' holds no pictures{found}", remedy)
