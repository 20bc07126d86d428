"""Files and folders, local or of a TensorFlow filesystem (gs://, ram://); local ones need no TensorFlow."""

import contextlib
import errno
import glob
import os
import platform
import re
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn

from srez.errors import UserError

Listing = tuple[str, list[str], list[str]]  # a folder, the names of folders and of files in it
LONG_NAME = 128  # bytes; disks take 255, and the name of a machine may have 64


def raise_it(error: Exception) -> NoReturn:
    """Raise an error: what `walk` and `matches` do with one unless told otherwise."""
    raise error


class LocalFiles:
    """What RemoteFiles does, for files of this machine and without TensorFlow."""

    listdir = staticmethod(os.listdir)
    remove = staticmethod(os.remove)

    def stat(self, path: str | Path) -> os.stat_result | None:
        """What lies at a local path; None: nothing. Raises OSError where that cannot be seen."""
        try:
            return os.stat(path)
        except ValueError:  # no name of a file
            return None
        except OSError as error:  # os.path.exists takes a folder without permission for an empty one
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
                return None
            raise

    def exists(self, path: str | Path) -> bool:
        return self.stat(path) is not None

    def isdir(self, path: str) -> bool:
        found = self.stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def makedirs(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)

    def rename(self, old: str, new: str, overwrite: bool = False) -> None:
        os.replace(old, new)

    def GFile(self, path: str, mode: str) -> IO:
        return open(path, mode)

    def size(self, path: str) -> int | None:
        found = os.stat(path)
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def matches(self, pattern: str, onerror: Callable[[OSError], object]) -> list[str]:
        if glob.has_magic(pattern):
            above = os.path.dirname(pattern)
            parents = matches(above, onerror) if glob.has_magic(above) else [above or os.curdir]
            for folder in parents:  # glob says nothing of them
                try:
                    if self.isdir(folder):
                        os.scandir(folder).close()
                except OSError as error:
                    onerror(error)
        return glob.glob(pattern, recursive=True)

    def below(self, top: str, onerror: Callable[[OSError], object]) -> Iterator[Listing]:
        return os.walk(top, True, lambda e: isinstance(e, FileNotFoundError) or onerror(e), followlinks=True)


class RemoteFiles:
    """tf.io.gfile, imported when first asked for a function of its own, and what that lacks."""

    def __getattr__(self, name: str) -> Any:
        import tensorflow as tf

        return getattr(tf.io.gfile, name)

    def size(self, path: str) -> int:
        return self.stat(path).length

    def matches(self, pattern: str, onerror: Callable[[OSError], object]) -> list[str]:
        return self.glob(pattern)

    def below(self, top: str, onerror: Callable[[OSError], object]) -> Iterator[Listing]:
        return self.walk(top)


LOCAL, REMOTE = LocalFiles(), RemoteFiles()


def _of(path: str) -> LocalFiles | RemoteFiles:
    """What a path is looked up in: nothing else tells local from remote ones."""
    return REMOTE if "://" in path else LOCAL


def needs_tensorflow(*paths: str) -> bool:
    """Whether one of the paths is remote: to be looked at later, since TensorFlow's import takes seconds."""
    return REMOTE in map(_of, paths)


def require_local(option: str, path: str | None, remedy: str) -> None:
    """Raise UserError where the path that an option names, if it does, is remote."""
    if path and needs_tensorflow(path):
        raise UserError(f"--{option}={path}", remedy)


def expand(path: str) -> str:
    """A path with ~, ~NAME, $NAME and ${NAME} replaced as a shell does; remote ones stay as they are.

    So does one with a $ that names what is there. Raises UserError where a variable is not set, or ~NAME/ is
    the home of nobody.
    """
    if needs_tensorflow(path):
        return path
    path = os.path.expanduser(path)
    if os.path.lexists(path) or ("$" in path and any(glob.iglob(path, recursive=True))):
        return path
    if path.startswith("~") and "/" in path:
        raise UserError(f"{path}: no home is known for {path.split('/')[0]}", "write the folder out")
    for found in re.finditer(r"\$(?:(\w+)|\{([^}]*)\})", path, re.ASCII):  # what os.path.expandvars replaces
        if (name := found[1] or found[2]) not in os.environ:
            raise UserError(f"{path}: there is no variable {name}", "set it (export), or write the path out")
    return os.path.expandvars(path)


def join(folder: str, name: str) -> str:
    """Folder and name as one path, local or remote."""
    return os.path.join(folder, name)


def is_folder(path: str) -> bool:
    """Whether there is a folder of that name. Raises OSError where that cannot be seen."""
    return _of(path).isdir(path)


def matches(pattern: str, onerror: Callable[[OSError], object] = raise_it) -> list[str]:
    """Files and folders that a pattern with *, ?, [] or ** names, sorted.

    `onerror` is told of local folders which it leads to and that cannot be listed.
    """
    return sorted(_of(pattern).matches(pattern, onerror))


def real(path: str) -> str:
    """One name for a file however it is reached."""
    return path if needs_tensorflow(path) else os.path.realpath(path)


def read_bytes(path: str, most: int = -1) -> bytes:
    """A file's content, or the first `most` bytes. Raises OSError (local) or tf.errors.OpError (remote)."""
    with _of(path).GFile(path, "rb") as file:
        return file.read(most)


def write_whole(path: str, data: bytes) -> None:
    """Write a file so that its name only ever holds the whole of `data`: temporary name, then rename."""
    with whole_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name when the block ends well and is gone when it does not."""
    temporary, its = temporary_path(path), _of(path)
    try:
        with named(path), its.GFile(temporary, "wb") as file:
            yield file
            if its is LOCAL:
                file.flush()
                os.fsync(file.fileno())
        its.rename(temporary, path, overwrite=True)
    except BaseException:
        if its.exists(temporary):
            its.remove(temporary)
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
    if not needs_tensorflow(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, os.path.basename(path))
        write_whole(local, read_bytes(path))
        yield local


def walk(folder: str, onerror: Callable[[OSError], object] = raise_it) -> Iterator[Listing]:
    """os.walk for both kinds; follows links, but not to a folder above, and each folder comes once.

    `onerror` is told of local folders that cannot be listed. One that is not there holds nothing.
    """
    seen = set()  # two folders with links to each other would never end
    for top, folders, found in _of(folder).below(folder, onerror):
        here = join(real(top), "")
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders[:] = [f for f in sorted(folders) if not here.startswith(join(real(join(top, f)), ""))]
        yield top, folders, found


def size(path: str) -> int | None:
    """A file's size in bytes; None for a pipe, socket or device, which one may read without end.

    Raises OSError or tf.errors.OpError where nothing is.
    """
    return _of(path).size(path)


def exists(path: str) -> bool:
    """Whether there is a file or folder of that name. Raises OSError where that cannot be seen."""
    return _of(path).exists(path)


def names(folder: str) -> list[str]:
    """What lies in a folder, sorted; nothing where there is no folder. Raises OSError."""
    if not is_folder(folder):
        return []
    return sorted(name.rstrip("/") for name in _of(folder).listdir(folder))


def make_folder(folder: str) -> None:
    """Make a folder and those above it. Raises OSError or tf.errors.OpError."""
    _of(folder).makedirs(folder)


def rename(old: str, new: str) -> None:
    """Rename a file or folder; `new` must not be there."""
    _of(old).rename(old, new)


def remove(path: str) -> None:
    """Delete a file. Raises OSError or tf.errors.OpError."""
    _of(path).remove(path)


def append(path: str, text: str) -> None:
    """Add text at the end of a file, in one write. Raises OSError or tf.errors.OpError."""
    with named(path), _of(path).GFile(path, "a") as file:
        file.write(text)


def can_write(folder: str) -> bool:
    """Whether a folder may be written; of a remote one only writing tells."""
    return needs_tensorflow(folder) or os.access(folder, os.W_OK)


def existing_above(folder: str | Path) -> Path:
    """A local folder, or the nearest one above it that is there. Raises OSError where that cannot be seen."""
    return next(f for f in (Path(folder), *Path(folder).absolute().parents) if LOCAL.exists(f))


def disk(folder: str | Path) -> int | None:
    """The number of the device that a folder is on, or would be made on; None: remote. Raises OSError."""
    return None if needs_tensorflow(str(folder)) else os.stat(existing_above(folder)).st_dev
