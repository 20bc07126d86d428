"""Errors that the user can mend, and the exit codes."""

import difflib
import errno
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence

EXIT_DONE, EXIT_USER, EXIT_DIVERGED, EXIT_INTERRUPTED = 0, 2, 3, 75
MOST_NAMED = 3  # of many items with a fault; the others are counted
PREFIX = "srez: "  # of the line on standard error that says how a command failed


class UserError(Exception):
    """Something the user can mend. problem: what is wrong, with flag or file; remedy: what helps."""

    def __init__(self, problem: str, remedy: str):
        super().__init__(problem, remedy)
        self.problem, self.remedy = problem, remedy

    def __str__(self) -> str:
        return f"{self.problem}: {self.remedy}"


# what TensorFlow puts around a message: names of operations, where in the source they were made; colours
_GRAPH = re.compile(
    r'^(Graph execution error:|Detected at node .*|\s*File ".*|\s*\[\[.*|Hint: .*)$'
    r"|\{\{.*?\}\} ?| ?\[Op:\w+\]( name: \S*)?|\x1b\[[\d;]*m",
    re.MULTILINE,
)


def one_line(error: object) -> str:
    """The text of an error on one line, at most 300 characters, without TensorFlow's graph and colours."""
    return textwrap.shorten(_GRAPH.sub("", str(error)), 300, placeholder=" ...")


def few(lines: Sequence[str], what: str) -> list[str]:
    """The first MOST_NAMED of lines that tell the same of several items, and a line that counts the others.

    what: plural of the items, as in "grids".
    """
    more = len(lines) - MOST_NAMED
    return [*lines[:MOST_NAMED], f"and {more:,} more {what}"] if more > 0 else list(lines)


def closest(word: str, names: Iterable[str]) -> str:
    """The name that a mistyped word was probably meant to be; empty where none is like it."""
    return next(iter(difflib.get_close_matches(word, list(names), 1)), "")


_MEMORY = "lower --batch_size, --width or --test_vectors (--run upscale: --tile), or end other programs"
_GPU_MEMORY = "lower --batch_size or --width, take --precision=bfloat16, or end what else runs on it"
_PERMISSION = "change its permissions, or choose one that you may read and write"
_NOT_THERE = "put it back, or name one that is there"
_DISK = "see to its disk or mount it again, then the same command goes on"
_NETWORK = "see to the network and the credentials, or use a local folder"
_FILE_SYSTEM = "use a local or mounted folder; beside gs:// each needs a file system plug-in of TensorFlow"
_NO_SPACE = "free some space on its disk and give the same command again, or choose another folder"
_REMEDIES = {
    (errno.ENOSPC, errno.EDQUOT): _NO_SPACE,
    (errno.EFBIG,): "raise the limit (ulimit -f), or choose a disk that takes larger files",
    (errno.ENOMEM,): _MEMORY,
    (errno.EACCES, errno.EPERM): _PERMISSION,
    (errno.EROFS,): "choose a folder that can be written",
    (errno.ENOENT,): _NOT_THERE,
    (errno.EEXIST, errno.ENOTEMPTY): "move what is there away, or choose another name",
    (errno.ENOTDIR,): "name a folder, not a file",
    (errno.EISDIR,): "name a file, not a folder",
    (errno.ENAMETOOLONG,): "choose a shorter name",
    (errno.EMFILE, errno.ENFILE): "raise the limit (ulimit -n), or end other programs",
    (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ENOTCONN): _DISK,
}
_BY_ERRNO = {number: remedy for numbers, remedy in _REMEDIES.items() for number in numbers}
_BY_TEXT = {os.strerror(number): remedy for number, remedy in _BY_ERRNO.items()}
_NOT_FOUND, _DENIED, _EXHAUSTED, _UNAVAILABLE, _UNAUTHENTICATED = 5, 7, 8, 14, 16  # codes of TensorFlow
_BY_CODE = {_NOT_FOUND: _NOT_THERE, _DENIED: _PERMISSION, _UNAVAILABLE: _NETWORK, _UNAUTHENTICATED: _NETWORK}


def as_user_error(error: Exception) -> UserError | None:
    """What to tell the user of an error; None where only the program's author can mend it."""
    tensorflow = sys.modules.get("tensorflow")
    if isinstance(error, UserError):
        return error
    if isinstance(error, MemoryError):
        return UserError("out of memory", _MEMORY)
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        remedy = _BY_ERRNO.get(error.errno, "mend that, then give the same command again")
        return UserError(where + one_line(error.strerror or error), remedy)
    if tensorflow is not None and isinstance(error, tensorflow.errors.OpError):
        text = " ".join(_GRAPH.sub("", error.message).split())
        return _of_tensorflow(text or type(error).__name__, error.error_code)
    return None


def _of_tensorflow(text: str, code: int) -> UserError:
    """What to tell the user of an OpError with this message and code."""
    if found := re.match(rf"(.*); ({'|'.join(_BY_TEXT)})", text):  # the operating system's
        return UserError(f"{found[1]}: {found[2]}", _BY_TEXT[found[2]])
    if found := re.match(r"File system scheme '(.*)' not implemented \(file: '(.*)'\)", text):
        return UserError(f"{found[2]}: TensorFlow has no file system '{found[1]}' here", _FILE_SYSTEM)
    if code == _EXHAUSTED or re.search(r"OUT_OF_MEMORY|ALLOC_FAILED", text):
        if re.search(r"GPU|CUDA|CUDNN|CUBLAS|while trying to allocate", text):  # the last is XLA's
            return UserError("out of memory on the GPU", _GPU_MEMORY)
        return UserError("out of memory", _MEMORY)
    if re.search(r"XLA_|tf2xla|libdevice", text):
        return UserError("TensorFlow cannot compile the training step with XLA", "train with --noxla")
    report = "give the same command again; if this comes again, report it as a fault of srez"
    return UserError(one_line(text), _NETWORK if "HTTP" in text else _BY_CODE.get(code, report))
