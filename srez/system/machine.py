"""What this process may use of the machine; told without TensorFlow."""

import importlib.metadata
import os
import shutil
import subprocess

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
