"""What XLA has compiled for GPUs, kept in a folder for the next training."""

import importlib.metadata
import os
import re
import tempfile
from pathlib import Path

from srez.system import files
from srez.system.machine import gpus, gpus_of_driver

AUTO, OFF = "auto", "off"
ROOM = 2**30  # bytes: TensorFlow ends where a program does not fit


def keep_compiled(folder: str) -> str:
    """Have TensorFlow, not imported yet, keep what XLA compiles for GPUs; why not, in a line, or nothing.

    folder: 'auto' is the user's cache folder, 'off' keeps nothing. Programs of another version of TensorFlow
    or for other GPUs lie in other sub-folders. Does nothing without a GPU.
    """
    if folder == OFF or not gpus():
        return ""
    if files.needs_tensorflow(folder):
        return _not_kept(f"'{folder}' is not on this machine; name a folder with --compile_cache")
    place = (_user_cache() if folder == AUTO else Path(folder)).absolute() / _kind_of_program()
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
        filesystem = os.statvfs(place)
        damaged = [path for path in sorted(place.glob("*.pb")) if not is_whole(path)]
    except OSError as error:
        return _not_kept(f"{error}; name another folder with --compile_cache")
    if filesystem.f_bavail * filesystem.f_frsize < ROOM:
        return _not_kept(f"less than 1 GiB is free in {place}")
    if damaged:  # TensorFlow would end at it
        return _not_kept(f"{damaged[0]} is damaged; delete it")
    # GPU: programs that were compiled for a processor may not run on the next machine's
    programs = f"--tf_xla_persistent_cache_directory={_quoted(place)}"
    _add_flags("TF_XLA_FLAGS", f"{programs} --tf_xla_persistent_cache_device_types=GPU")
    return ""


def start_together() -> None:
    """Have XLA start a program's kernels as CUDA graphs, with its loops: one by one a GPU waits for them.

    Before TensorFlow is imported. Does nothing without a GPU.
    """
    if gpus():
        commands = "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,WHILE"
        _add_flags(
            "XLA_FLAGS", f"--xla_gpu_enable_command_buffer={commands} --xla_gpu_graph_min_graph_size=2"
        )


def is_whole(path: Path) -> bool:
    """Whether a file is a sequence of whole protobuf fields, as XlaSerializedCacheEntry is, and not empty."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            field = file.read(1)[0]
            length = shift = 0
            more = True
            while more:
                if not (digit := file.read(1)):
                    return False
                length |= (digit[0] & 127) << shift
                shift, more = shift + 7, digit[0] > 127
            if field & 7 != 2 or file.tell() + length > size:
                return False
            file.seek(length, os.SEEK_CUR)
    return size > 0


def _not_kept(why: str) -> str:
    return f"compiled programs are not kept: {why}"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "srez" / "xla"


def _kind_of_program() -> str:
    """TensorFlow's version and the GPUs' names, as the name of a folder."""
    names = sorted({re.sub(r"^GPU \d+: | \(UUID.*", "", line) for line in gpus_of_driver()})
    return re.sub(r"[^A-Za-z0-9.-]+", "_", "-".join([importlib.metadata.version("tensorflow"), *names]))


def _quoted(path: Path) -> str:
    """A path as a value in TF_XLA_FLAGS, where spaces part flags."""
    return f'"{path}"' if "'" in str(path) else f"'{path}'"


def _add_flags(name: str, flags: str) -> None:
    """Put flags before those of an environment variable: of two that are the same the last counts."""
    os.environ[name] = f"{flags} {os.environ.get(name, '')}".strip()
