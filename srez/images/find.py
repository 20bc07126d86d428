"""Picture files: below a folder, or named by words of a command line. Needs no TensorFlow."""

import os
import posixpath
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from srez.errors import UserError, as_user_error, few
from srez.system import files

EXTENSIONS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".heic", ".heif", ".hif", ".avif")
MORE_EXTENSIONS = (*EXTENSIONS, ".tif", ".tiff", ".gif")  # to be upscaled, not trained on
# of file managers, disks and archives, which do not begin with a dot; in lower case
SYSTEM_FOLDERS = ("@eadir", "__macosx", "$recycle.bin", "system volume information", "#recycle", "lost+found")
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")
WEB = ("http://", "https://", "ftp://")
FETCH_FIRST = "fetch it first, then name what you have got"
KINDS_TOLD, LONGEST_KIND = 5, 10  # how many kinds of other files are named; longer endings are none


def list_pictures(
    folder: str,
    extensions: Sequence[str] = EXTENSIONS,
    onerror: Callable[[OSError], object] = files.raise_it,
) -> tuple[dict[str, int], Counter[str]]:
    """Pictures below a folder: their sizes in bytes by name, relative to it, sorted; how many other files.

    The others are counted by their ending in lower case, such as ".mov"; "": without one, or a pipe.
    Hidden files, hidden folders and SYSTEM_FOLDERS are passed over and not counted; a link to nowhere has
    size 0, so that whoever reads it names it. `onerror` is told of folders that cannot be listed. Raises
    OSError or tf.errors.OpError.
    """
    sizes: dict[str, int] = {}
    others: Counter[str] = Counter()
    root = folder.rstrip("/") or folder
    for top, found in _searched(root, onerror):
        inside = top[len(root) :].strip("/").replace(os.sep, "/")
        for name in found:
            if not name.lower().endswith(tuple(extensions)):
                others[_kind(name)] += 1
            elif (size := _size(files.join(top, name))) is None:
                others[""] += 1
            else:
                sizes[posixpath.join(inside, name)] = size
    return dict(sorted(sizes.items())), others


def _searched(folder: str, onerror: Callable[[OSError], object]) -> Iterator[tuple[str, list[str]]]:
    """The folders below one, itself included, and their files, but those that are hidden or a system's."""
    for top, folders, names in files.walk(folder, onerror):
        folders[:] = [f for f in folders if not f.startswith(".") and f.lower() not in SYSTEM_FOLDERS]
        yield top, [name for name in names if not name.startswith(".")]


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
    problems: list[tuple[str, str]] = []
    others_told: list[str] = []
    for word in words:
        try:
            for path in _paths(word, problems):
                if not files.is_folder(path):
                    found.setdefault(files.real(path), (path, os.path.basename(path)))
                    continue
                names, others = _list(path, problems)
                if names and others:
                    others_told.append(f"{path}: {passed_over(others)}")
                for name in names:
                    inside = files.join(path, name)
                    found.setdefault(files.real(inside), (inside, name))
        except Exception as error:  # also TensorFlow's, which is not imported here
            if (cause := as_user_error(error)) is None:
                raise
            problems.append((word, cause.problem.removeprefix(f"{word}: ")))
    return dict(found.values()), problems, few(others_told, "folders with other files")


def nothing_found(problems: Sequence[tuple[str, str]]) -> UserError:
    """What to raise where no word names a picture, with what is wrong with each."""
    text = "; ".join(few([f"{word}: {reason}" for word, reason in problems], "words"))
    web = all(is_web_address(word) for word, _ in problems)
    return UserError(text, FETCH_FIRST if web else "name pictures that are there and may be read")


def _paths(word: str, problems: list[tuple[str, str]]) -> list[str]:
    """The files and folders that a word of the command line names; what is wrong is added to `problems`."""
    if is_web_address(word):
        problems.append((word, "a web address, which srez does not fetch"))
        return []
    if files.exists(word):
        return [word]
    unlisted: list[OSError] = []
    found = [m for m in files.matches(word, unlisted.append) if files.is_folder(m) or _size(m) is not None]
    found = [path for path in found if not _in_system_folder(path, word)]
    reasons = [_why_unlisted(e, word) for e in unlisted if not _in_system_folder(str(e.filename), word)]
    if not found and not reasons:
        reasons = ["not there"]
    problems += [(word, reason) for reason in reasons]
    return found


def _in_system_folder(path: str, pattern: str) -> bool:
    """Whether a path leads through a system's folder that the pattern does not name itself."""
    parts = {part.lower() for part in path.split("/")} - {part.lower() for part in pattern.split("/")}
    return not parts.isdisjoint(SYSTEM_FOLDERS)


def _list(folder: str, problems: list[tuple[str, str]]) -> tuple[dict[str, int], Counter[str]]:
    """The pictures below a folder that was named, and the other files; adds what is wrong."""
    unlisted: list[OSError] = []
    sizes, others = list_pictures(folder, MORE_EXTENSIONS, unlisted.append)
    problems += [(folder, _why_unlisted(error, folder)) for error in unlisted]
    if not sizes and not unlisted:
        problems.append((folder, _holds_none(others)))
    return sizes, others


def _why_unlisted(error: OSError, named: str) -> str:
    """What is wrong with a folder that cannot be listed: the one that was named, or one that it led to."""
    return f"cannot be listed ({as_user_error(error).problem.removeprefix(f'{named}: ')})"


def is_web_address(word: str) -> bool:
    """Whether a word names a page of the web, which no filesystem of TensorFlow reads."""
    return word.lower().startswith(WEB)


def lacks_pictures(dataset: str) -> bool:
    """Whether a local folder holds no picture; False for a remote one, not looked at. Raises UserError."""
    if files.needs_tensorflow(dataset):
        return False
    try:
        found = _searched(dataset, files.raise_it)
        return not any(name.lower().endswith(EXTENSIONS) for _, names in found for name in names)
    except OSError as error:
        raise cannot_be_listed(dataset, error) from None


def require_folder(folder: str, named: str, remedy: str) -> None:
    """Raise UserError where what should be a folder of pictures is none.

    named: what the message calls it, as in "dataset 'x'"; remedy: what helps where nothing is there. Raises
    OSError or tf.errors.OpError where that cannot be seen.
    """
    if is_web_address(folder):
        raise UserError(f"{named} is a web address", FETCH_FIRST)
    if files.is_folder(folder):
        return
    if not files.exists(folder):
        raise UserError(f"{named} is not there", remedy)
    remedy = "name a folder of pictures"
    if folder.lower().endswith(ARCHIVES):
        unpack = f"unpack it with python3 download_data.py --archive {shlex.quote(folder)}"
        remedy = unpack if "celeba" in os.path.basename(folder).lower() else "unpack it"
        remedy += ", then name the folder"
    elif folder.lower().endswith(MORE_EXTENSIONS):
        remedy = "name the folder that it is in"
    raise UserError(f"{named} is a file, not a folder", remedy)


def require_dataset(folder: str) -> None:
    """Raise UserError where a dataset is a web address, or local and no folder. Other remote ones pass."""
    if files.needs_tensorflow(folder) and not is_web_address(folder):
        return
    try:
        require_folder(
            folder,
            f"dataset '{folder}'",
            "name a folder of pictures with --dataset, "
            "fetch CelebA with python3 download_data.py, or take the drawn faces with --dataset synthetic",
        )
    except OSError as error:
        raise cannot_be_listed(folder, error) from None


def require_pictures(folder: str) -> None:
    """Raise UserError where a local dataset is not there or holds no pictures; remote ones pass."""
    require_dataset(folder)
    if lacks_pictures(folder):
        raise no_pictures(folder, list_pictures(folder)[1])


def cannot_be_listed(folder: str, error: Exception) -> UserError:
    """What to raise for a dataset folder that the operating system, or TensorFlow, does not list."""
    cause = as_user_error(error)
    return UserError(f"dataset '{folder}' cannot be listed ({cause.problem})", cause.remedy)


def no_pictures(folder: str, others: Counter[str]) -> UserError:
    """What to raise for a dataset folder without pictures, which holds these other files."""
    remedy = f"put {', '.join(EXTENSIONS)} files there, or --dataset synthetic"
    return UserError(f"dataset '{folder}' {_holds_none(others)}", remedy)


def _holds_none(others: Counter[str]) -> str:
    return f"holds no pictures; {passed_over(others)}" if others else "holds no pictures"
