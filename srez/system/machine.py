"""What this process may use of the machine; told without TensorFlow."""

import contextlib
import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

CUDA_LIBRARIES = "nvidia-cudnn-cu12"  # comes with tensorflow[and-cuda]


def processors() -> int:
    """How many processors this process may run on; where that cannot be told, how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number in range(len(gpus_of_driver()))]


def gpus_of_driver() -> list[str]:
    """The GPUs that NVIDIA's driver knows, as nvidia-smi describes them."""
    if shutil.which("nvidia-smi") is None:
        return []
    words = ["nvidia-smi", "-L"]
    try:
        listed = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False).stdout
    except subprocess.TimeoutExpired:  # a driver that is broken
        return []
    return [line for line in listed.splitlines() if line.startswith("GPU ")]


def why_no_gpu() -> str:
    """Why TensorFlow, which has found no GPU, uses none of those there are, and the remedy; or nothing."""
    if not (there := gpus_of_driver()):
        return ""
    what = f"{len(there)} GPU{'s' if len(there) > 1 else ''} not used"
    if not gpus():
        hidden = os.environ["CUDA_VISIBLE_DEVICES"]
        return f"{what}: CUDA_VISIBLE_DEVICES='{hidden}' hides them; unset it"
    try:
        importlib.metadata.version(CUDA_LIBRARIES)
    except importlib.metadata.PackageNotFoundError:
        return f"{what}: CUDA's libraries are missing; python3 -m pip install 'tensorflow[and-cuda]~=2.21.0'"
    return (
        f"{what}: TensorFlow cannot use them, with an old driver perhaps; "
        "--log_device_placement shows what it says"
    )


def has_bfloat16(root: str = "/") -> bool:
    """Whether the processor multiplies in bfloat16. root: the folder that holds Linux' proc."""
    try:
        words = Path(root, "proc/cpuinfo").read_text().split()
    except OSError:  # no Linux: not known
        return False
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)


def free_memory(root: str = "/") -> int:
    """Bytes that this process may still take, a container's limit counted; 0 where that cannot be told.

    root: the folder that holds Linux' proc and sys.
    """
    try:
        found = [_numbers(Path(root, "proc/meminfo"))["MemAvailable"] * 1024]
    except (OSError, KeyError):
        return 0
    for folder, limit, used in _memory_groups(Path(root)):
        try:
            most, taken = (int((folder / name).read_text()) for name in (limit, used))
        except (OSError, ValueError):  # not there, or no limit: "max"
            continue
        with contextlib.suppress(OSError):  # what was read of files is given up when memory is wanted
            taken -= _numbers(folder / "memory.stat").get("inactive_file", 0)
        found.append(most - taken)
    return max(0, min(found))


def _memory_groups(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Folders of the control groups that limit this process's memory; names of limit and use in them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if kinds else "")
        names = path.strip("/").split("/")
        for depth in range(len(names) + 1):  # in a container the own group is the topmost
            folder = top.joinpath(*names[:depth])
            if kinds:
                yield folder, "memory.limit_in_bytes", "memory.usage_in_bytes"
            else:
                yield folder, "memory.max", "memory.current"


def _numbers(path: Path) -> dict[str, int]:
    """The whole numbers of a file with a name and a number a line, as /proc/meminfo is."""
    rows = (line.replace(":", " ").split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}
