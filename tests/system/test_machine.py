"""Which GPUs there are, and why one is not used."""

import os

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
