"""Flags for XLA: where compiled programs are kept, how they start; that nothing about it stops a training."""

import importlib.metadata
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from helpers import nvidia_smi

from srez.system.compile_cache import is_whole, keep_compiled, start_together

COMPILE = """
import tensorflow as tf
print(tf.function(lambda x: tf.sin(x) + 1, jit_compile=True)(tf.zeros([3])).numpy())
"""


@pytest.fixture(autouse=True)
def gpu(tmp_path, monkeypatch) -> None:
    """One GPU, no flags, a cache folder of the user's own."""
    nvidia_smi(tmp_path, "GPU 0: NVIDIA A100 80GB (UUID: GPU-a)")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user's own"))
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_max_cluster_size=7")
    for name in ("CUDA_VISIBLE_DEVICES", "XLA_FLAGS"):
        monkeypatch.setenv(name, "")  # restored afterwards
        monkeypatch.delenv(name)


def flags() -> str:
    return os.environ["TF_XLA_FLAGS"] + " " + os.environ.get("XLA_FLAGS", "")


def test_the_users_cache_folder_by_version_and_gpu(tmp_path):
    assert keep_compiled("auto") == ""
    (place,) = (tmp_path / "user's own" / "srez" / "xla").iterdir()
    assert place.name == f"{importlib.metadata.version('tensorflow')}-NVIDIA_A100_80GB"
    assert os.environ["TF_XLA_FLAGS"] == (
        f'--tf_xla_persistent_cache_directory="{place}" --tf_xla_persistent_cache_device_types=GPU '
        "--tf_xla_max_cluster_size=7"
    )


def test_kernels_start_together_on_a_gpu_and_the_users_flags_count_more(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_graph_min_graph_size=5")
    start_together()
    assert os.environ["XLA_FLAGS"] == (
        "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,WHILE "
        "--xla_gpu_graph_min_graph_size=2 --xla_gpu_graph_min_graph_size=5"
    )
    assert "[1. 1. 1.]" in compile_something().stdout  # TensorFlow ends at a flag that it does not know


def test_no_flags_without_a_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    start_together()
    assert "XLA_FLAGS" not in os.environ


@pytest.mark.parametrize("folder", ["off", "auto"])
def test_nothing_is_kept_without_a_gpu_or_where_not_wanted(tmp_path, monkeypatch, folder):
    if folder == "auto":
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert keep_compiled(folder) == ""
    assert flags() == "--tf_xla_max_cluster_size=7 "
    assert not (tmp_path / "user's own").exists()


def test_a_folder_that_cannot_be_used_is_told_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for folder, told in (
        (str(tmp_path / "file"), "Not a directory"),
        ("gs://bucket/x", "not on this machine"),
    ):
        problem = keep_compiled(folder)
        assert problem.startswith("compiled programs are not kept: ")
        assert told in problem
        assert "--compile_cache" in problem
    full = namedtuple("Full", "f_bavail f_frsize")(2**18 - 1, 4096)
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    assert "less than 1 GiB is free" in keep_compiled("auto")
    assert flags() == "--tf_xla_max_cluster_size=7 "


def compile_something() -> subprocess.CompletedProcess:
    """TensorFlow with these flags in a process of its own, on the processor, whose programs are kept too."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    environment["TF_XLA_FLAGS"] = environment["TF_XLA_FLAGS"].replace("types=GPU", "types=CPU")
    words = [sys.executable, "-c", COMPILE]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def test_tensorflow_takes_the_flags_and_a_damaged_program_is_found_before_it_is_read(tmp_path, monkeypatch):
    folder = str(tmp_path / "a folder")
    assert keep_compiled(folder) == ""
    for _ in range(2):  # compiled, then read
        assert "[1. 1. 1.]" in compile_something().stdout
    (program,) = Path(folder).glob("2.*/*.pb")
    assert is_whole(program)
    content = program.read_bytes()
    for length in (0, 1, 3, len(content) // 2, len(content) - 1):
        program.write_bytes(content[:length])
        assert keep_compiled(folder) == f"compiled programs are not kept: {program} is damaged; delete it"
    assert compile_something().returncode != 0  # why this is looked for
    program.unlink()
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    assert keep_compiled(folder) == ""
