"""Files and folders, local or of a TensorFlow filesystem (gs://, ram://); local ones need no TensorFlow."""

import contextlib
import errno
import glob
import os
import platform
import posixpath
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import BinaryIO, NoReturn

LONG_NAME = 128  # bytes; disks take 255, and the name of a machine may have 64


def is_remote(path: str) -> bool:
    """Whether a path belongs to one of TensorFlow's filesystems."""
    return "://" in path


def gfile() -> ModuleType:
    """TensorFlow's file functions; imported late, since local paths do without."""
    import tensorflow as tf

    return tf.io.gfile


def raise_it(error: Exception) -> NoReturn:
    """Raise an error: what `walk` and `matches` do with one unless told otherwise."""
    raise error


def join(folder: str, name: str) -> str:
    """Folder and name as one path, local or remote."""
    return posixpath.join(folder, name) if is_remote(folder) else os.path.join(folder, name)


def is_folder(path: str) -> bool:
    """Whether there is a folder of that name. Raises OSError where that cannot be seen."""
    if is_remote(path):
        return gfile().isdir(path)
    found = _stat(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def _stat(path: str) -> os.stat_result | None:
    """What lies at a local path; None: nothing. Raises OSError where that cannot be seen."""
    try:
        return os.stat(path)
    except ValueError:  # no name of a file
        return None
    except OSError as error:  # os.path.exists takes a folder without permission for an empty one
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            return None
        raise


def matches(pattern: str, onerror: Callable[[OSError], object] = raise_it) -> list[str]:
    """Files and folders that a pattern with *, ?, [] or ** names, sorted.

    `onerror` is told of local folders which it leads to and that cannot be listed.
    """
    if is_remote(pattern):
        return sorted(gfile().glob(pattern))
    if glob.has_magic(pattern):
        above = os.path.dirname(pattern)
        parents = matches(above, onerror) if glob.has_magic(above) else [above or os.curdir]
        for folder in parents:  # glob says nothing of them
            try:
                if is_folder(folder):
                    os.scandir(folder).close()
            except OSError as error:
                onerror(error)
    return sorted(glob.glob(pattern, recursive=True))


def real(path: str) -> str:
    """One name for a file however it is reached."""
    return path if is_remote(path) else os.path.realpath(path)


def read_bytes(path: str, most: int = -1) -> bytes:
    """A file's content, or the first `most` bytes. Raises OSError (local) or tf.errors.OpError (remote)."""
    with gfile().GFile(path, "rb") if is_remote(path) else open(path, "rb") as file:
        return file.read(most)


def write_whole(path: str, data: bytes) -> None:
    """Write a file so that its name only ever holds the whole of `data`: temporary name, then rename."""
    if not is_remote(path):
        with whole_file(path) as file:
            file.write(data)
        return
    temporary = temporary_path(path)
    with gfile().GFile(temporary, "wb") as file:
        file.write(data)
    gfile().rename(temporary, path, overwrite=True)


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """A local file to write to, which gets its name when the block ends well and is gone when it does not."""
    temporary = temporary_path(path)
    try:
        with named(path), open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


def temporary_path(path: str) -> str:
    """Where a file is written before it gets its name: beside it, hidden, told apart by host and process."""
    folder, name = os.path.split(path)
    if len(os.fsencode(name)) > LONG_NAME:  # with more to it, it would be too long for most disks
        name = f"{zlib.crc32(os.fsencode(name)):08x}"
    return join(folder, f".{name}.{platform.node()}.{os.getpid()}.tmp")  # a folder may be shared by machines


@contextlib.contextmanager
def named(path: str) -> Iterator[None]:
    """Add a path to an OSError of the block that names no file, as that of a full disk does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, path) from None
        raise


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """The path of a file for libraries that read local ones only; remote ones are copied for the while."""
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, posixpath.basename(path))
        write_whole(local, read_bytes(path))
        yield local


def walk(
    folder: str, onerror: Callable[[OSError], object] = raise_it
) -> Iterator[tuple[str, list[str], list[str]]]:
    """os.walk for both kinds; follows links, but not to a folder above, and each folder comes once.

    `onerror` is told of local folders that cannot be listed. One that is not there holds nothing.
    """

    def listing_failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            onerror(error)

    if is_remote(folder):
        yield from ((top.rstrip("/"), folders, files) for top, folders, files in gfile().walk(folder))
        return
    seen = set()  # two folders with links to each other would never end
    for top, folders, files in os.walk(folder, onerror=listing_failed, followlinks=True):
        here = os.path.realpath(top)
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders[:] = [f for f in sorted(folders) if not _is_above(os.path.realpath(join(top, f)), here)]
        yield top, folders, files


def _is_above(folder: str, other: str) -> bool:
    """Whether one local folder is the other or holds it, somewhere below."""
    return other == folder or other.startswith(folder.rstrip(os.sep) + os.sep)


def size(path: str) -> int | None:
    """A file's size in bytes; None for a pipe, socket or device, which one may read without end.

    Raises OSError or tf.errors.OpError where nothing is.
    """
    if is_remote(path):
        return gfile().stat(path).length
    found = os.stat(path)
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def exists(path: str) -> bool:
    """Whether there is a file or folder of that name. Raises OSError where that cannot be seen."""
    return gfile().exists(path) if is_remote(path) else _stat(path) is not None


def names(folder: str) -> list[str]:
    """What lies in a folder, sorted; nothing where there is no folder. Raises OSError."""
    if not is_folder(folder):
        return []
    return sorted(name.rstrip("/") for name in (gfile().listdir if is_remote(folder) else os.listdir)(folder))


def make_folder(folder: str) -> None:
    """Make a folder and those above it. Raises OSError or tf.errors.OpError."""
    if is_remote(folder):
        gfile().makedirs(folder)
    else:
        os.makedirs(folder, exist_ok=True)


def rename(old: str, new: str) -> None:
    """Rename a file or folder; `new` must not be there."""
    (gfile().rename if is_remote(old) else os.rename)(old, new)


def remove(path: str) -> None:
    """Delete a file. Raises OSError or tf.errors.OpError."""
    (gfile().remove if is_remote(path) else os.remove)(path)


def append(path: str, text: str) -> None:
    """Add text at the end of a file, in one write. Raises OSError or tf.errors.OpError."""
    with named(path), gfile().GFile(path, "a") if is_remote(path) else open(path, "a") as file:
        file.write(text)
