"""Which GPUs there are, and why one is not used; how much memory is free."""

import os
from pathlib import Path

import pytest
from helpers import nvidia_smi

from srez.system import machine


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (None, ["0"]),
        ("", []),
        ("-1", []),
        ("2", ["2"]),
        ("3, 5", ["3", "5"]),
        ("GPU-x,MIG-y", ["GPU-x", "MIG-y"]),
    ],
)
def test_which_gpus_there_are(tmp_path, monkeypatch, named, found):
    nvidia_smi(tmp_path, "GPU 0: NVIDIA A100 (UUID: GPU-a)\n  MIG 1g.5gb Device 0: (UUID: MIG-y)")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert machine.gpus() == found


def test_without_nvidia_smi_there_is_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert machine.gpus() == []


@pytest.mark.parametrize(
    ("driver", "hidden", "installed", "told"),
    [
        ("", None, True, ""),
        ("GPU 0: NVIDIA A100\nGPU 1: NVIDIA A100", "-1", True, "2 GPUs not used: CUDA_VISIBLE_DEVICES='-1'"),
        ("GPU 0: NVIDIA A100", None, False, "1 GPU not used: CUDA's libraries are missing; python3 -m pip"),
        ("GPU 0: NVIDIA A100", None, True, "1 GPU not used: TensorFlow cannot use them"),
    ],
)
def test_a_gpu_that_is_not_used_is_explained(driver, hidden, installed, told, tmp_path, monkeypatch):
    nvidia_smi(tmp_path, driver)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(machine, "CUDA_LIBRARIES", "numpy" if installed else "no-such-package")
    found = machine.why_no_gpu()
    assert found.startswith(told)
    assert bool(found) == bool(told)


MEMINFO = (
    "MemTotal:       16000 kB\nMemFree:         900 kB\nMemAvailable:   10000 kB\nHugePages_Total:       0\n"
)
FREE = 10000 * 1024


def machine_with(root: Path, **texts: str) -> str:
    """A folder with files as Linux has them."""
    for name, text in {"proc/meminfo": MEMINFO, **texts}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, FREE),
        ({"proc/self/cgroup": "0::/\n"}, FREE),
        ({"proc/self/cgroup": "0::/\n", "memory.max": "max\n", "memory.current": "7\n"}, FREE),
        ({"proc/self/cgroup": "0::/\n", "memory.max": "5000000\n", "memory.current": "2000000\n"}, 3000000),
        (  # files that were read and may be dropped count as free
            {
                "proc/self/cgroup": "0::/\n",
                "memory.max": "5000000\n",
                "memory.current": "2000000\n",
                "memory.stat": "anon 500000\ninactive_file 1500000\n",
            },
            4500000,
        ),
        ({"proc/self/cgroup": "0::/\n", "memory.max": "50\n", "memory.current": "60\n"}, 0),
        ({"proc/self/cgroup": "0::/\n", "memory.max": "90000000000\n", "memory.current": "1\n"}, FREE),
        (  # the narrowest of the groups that hold one another
            {
                "proc/self/cgroup": "0::/a/b\n",
                "a/memory.max": "4000000\n",
                "a/memory.current": "1000000\n",
                "a/b/memory.max": "max\n",
                "a/b/memory.current": "500\n",
            },
            3000000,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n",
                "memory/x/memory.limit_in_bytes": "6000000\n",
                "memory/x/memory.usage_in_bytes": "2000000\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/memory.usage_in_bytes": "2000000\n",
            },
            4000000,
        ),
        (  # version 1 within a container: the group's own name is not to be seen there
            {
                "proc/self/cgroup": "4:memory:/docker/x\n",
                "memory/memory.limit_in_bytes": "6000000\n",
                "memory/memory.usage_in_bytes": "1000000\n",
            },
            5000000,
        ),
    ],
)
def test_free_memory(tmp_path, files, free):
    texts = {
        name if name.startswith("proc") else f"sys/fs/cgroup/{name}": text for name, text in files.items()
    }
    assert machine.free_memory(machine_with(tmp_path, **texts)) == free


@pytest.mark.parametrize(
    ("flags", "has"),
    [("fma avx512f avx512_bf16", True), ("fma amx_bf16", True), ("asimd bf16", True), ("fma avx512f", False)],
)
def test_bfloat16_of_a_processor(tmp_path, flags, has):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: xbf16\n")
    assert machine.has_bfloat16(str(tmp_path)) is has


def test_no_processor_is_known_to_have_bfloat16_elsewhere(tmp_path):
    assert machine.has_bfloat16(str(tmp_path)) is False


def test_where_free_memory_cannot_be_told_there_is_none(tmp_path):
    assert machine.free_memory(str(tmp_path)) == 0
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 16000 kB\n")
    assert machine.free_memory(str(tmp_path)) == 0


def test_this_machine_has_free_memory():
    if Path("/proc/meminfo").exists():
        assert 2**20 < machine.free_memory() < 2**50
