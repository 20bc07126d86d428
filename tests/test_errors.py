"""One way to fail: one line with a problem and the remedy that belongs to it, exit code 2."""

import errno
import os
import pickle
from collections.abc import Callable

import pytest
import tensorflow as tf

import download_data
import srez_main
from srez.errors import UserError, as_user_error, few, one_line
from srez.options.config import Config

MEMORY = "lower --batch_size, --width or --test_vectors (--run upscale: --tile), or end other programs"
GPU_MEMORY = "lower --batch_size or --width, take --precision=bfloat16, or end what else runs on it"
SPACE = "free some space on its disk and give the same command again, or choose another folder"
PERMISSION = "change its permissions, or choose one that you may read and write"
NOT_THERE = "put it back, or name one that is there"
LIMIT = "raise the limit (ulimit -n), or end other programs"
DISK = "see to its disk or mount it again, then the same command goes on"
NETWORK = "see to the network and the credentials, or use a local folder"
FILE_SYSTEM = "use a local or mounted folder; beside gs:// each needs a file system plug-in of TensorFlow"
REPORT = "give the same command again; if this comes again, report it as a fault of srez"
BY_ERRNO = {
    errno.ENOSPC: ("No space left on device", SPACE),
    errno.EDQUOT: ("Disk quota exceeded", SPACE),
    errno.EFBIG: ("File too large", "raise the limit (ulimit -f), or choose a disk that takes larger files"),
    errno.ENOMEM: ("Cannot allocate memory", MEMORY),
    errno.EACCES: ("Permission denied", PERMISSION),
    errno.EPERM: ("Operation not permitted", PERMISSION),
    errno.EROFS: ("Read-only file system", "choose a folder that can be written"),
    errno.ENOENT: ("No such file or directory", NOT_THERE),
    errno.EEXIST: ("File exists", "move what is there away, or choose another name"),
    errno.ENOTDIR: ("Not a directory", "name a folder, not a file"),
    errno.EISDIR: ("Is a directory", "name a file, not a folder"),
    errno.EMFILE: ("Too many open files", LIMIT),
    errno.ENFILE: ("Too many open files in system", LIMIT),
    errno.ENAMETOOLONG: ("File name too long", "choose a shorter name"),
    errno.EIO: ("Input/output error", DISK),
    errno.ESTALE: ("Stale file handle", DISK),
    errno.ENXIO: ("No such device or address", DISK),
    errno.ENOTCONN: ("Transport endpoint is not connected", DISK),
    errno.EXDEV: ("Invalid cross-device link", "mend that, then give the same command again"),
}
GRAPH_ERROR = """Graph execution error:

Detected at node generator/conv/Conv2D defined at (most recent call last):
  File "/home/me/srez_main.py", line 180, in <module>

  File "/home/me/srez_model.py", line 90, in step

OOM when allocating tensor with shape[16,256,64,64] and type float on \
/job:localhost/replica:0/task:0/device:{}:0 by allocator {}
\t [[{{{{node generator/conv/Conv2D}}}}]]
Hint: If you want to see a list of allocated tensors when OOM happens, add report_tensor_allocations_upon_oom.
 [Op:__inference_step_1234]"""
EAGER = "{{function_node __wrapped__SaveV2_device_/job:localhost/replica:0/task:0/device:CPU:0}} "
XLA = "Detected unsupported operations when trying to compile graph __inference_step_32 on XLA_GPU_JIT: X"
TENSORFLOW = {
    "disk full": (
        tf.errors.ResourceExhaustedError,
        f"{EAGER}/a b/srez-5_temp/part-00000; No space left on device [Op:SaveV2] name: ",
        ("/a b/srez-5_temp/part-00000: No space left on device", SPACE),
    ),
    "quota": (
        tf.errors.ResourceExhaustedError,
        "/x/events.out; Disk quota exceeded",
        ("/x/events.out: Disk quota exceeded", SPACE),
    ),
    "permission": (
        tf.errors.PermissionDeniedError,
        "/x/y; Permission denied",
        ("/x/y: Permission denied", PERMISSION),
    ),
    "stale": (tf.errors.UnknownError, "/x/y; Stale file handle", ("/x/y: Stale file handle", DISK)),
    "no device": (
        tf.errors.NotFoundError,
        "/x; No such device or address",
        ("/x: No such device or address", DISK),
    ),
    "not found": (
        tf.errors.NotFoundError,
        "Could not find directory ram://x",
        ("Could not find directory ram://x", NOT_THERE),
    ),
    "found without words": (tf.errors.NotFoundError, "", ("NotFoundError", NOT_THERE)),
    "no file system": (
        tf.errors.UnimplementedError,
        "File system scheme 'gs' not implemented (file: 'gs://x/y')",
        ("gs://x/y: TensorFlow has no file system 'gs' here", FILE_SYSTEM),
    ),
    "no network": (
        tf.errors.FailedPreconditionError,
        "Error executing an HTTP request: libcurl code 6\n\t when reading metadata of gs://x/y",
        ("Error executing an HTTP request: libcurl code 6 when reading metadata of gs://x/y", NETWORK),
    ),
    "server away": (tf.errors.UnavailableError, "failed to connect", ("failed to connect", NETWORK)),
    "GPU memory": (
        tf.errors.ResourceExhaustedError,
        GRAPH_ERROR.format("GPU", "GPU_0_bfc"),
        ("out of memory on the GPU", GPU_MEMORY),
    ),
    "GPU memory, XLA": (
        tf.errors.ResourceExhaustedError,
        "Out of memory while trying to allocate 3221225472 bytes.",
        ("out of memory on the GPU", GPU_MEMORY),
    ),
    "GPU memory, driver": (
        tf.errors.InternalError,
        "failed to allocate: CUDA_ERROR_OUT_OF_MEMORY",
        ("out of memory on the GPU", GPU_MEMORY),
    ),
    "memory": (
        tf.errors.ResourceExhaustedError,
        GRAPH_ERROR.format("CPU", "mklcpu"),
        ("out of memory", MEMORY),
    ),
    "XLA": (
        tf.errors.InvalidArgumentError,
        XLA,
        ("TensorFlow cannot compile the training step with XLA", "train with --noxla"),
    ),
    "another": (
        tf.errors.InternalError,
        f"{EAGER}cuBLAS failed to launch\n\t [[{{{{node MatMul}}}}]]",
        ("cuBLAS failed to launch", REPORT),
    ),
}


def parts(error: Exception) -> tuple[str, str]:
    told = as_user_error(error)
    return told.problem, told.remedy


def test_a_user_error_is_its_two_parts():
    error = UserError("--width=9", "must be at most 8")
    for same in (error, pickle.loads(pickle.dumps(error))):
        assert (same.problem, same.remedy, str(same)) == (
            "--width=9",
            "must be at most 8",
            "--width=9: must be at most 8",
        )
    assert as_user_error(error) is error
    with pytest.raises(TypeError):
        UserError("--width=9: must be at most 8")


@pytest.mark.parametrize("number", BY_ERRNO, ids=errno.errorcode.get)
def test_an_error_of_the_operating_system(number):
    reason, remedy = BY_ERRNO[number]
    assert parts(OSError(number, os.strerror(number), "/a/file")) == (f"/a/file: {reason}", remedy)
    assert parts(OSError(number, os.strerror(number), b"/a/file")) == (f"/a/file: {reason}", remedy)
    assert parts(OSError(number, os.strerror(number))) == (reason, remedy)


def test_an_error_without_number_or_memory():
    assert parts(OSError("some\nlines")) == ("some lines", "mend that, then give the same command again")
    assert parts(MemoryError()) == ("out of memory", MEMORY)
    assert parts(MemoryError("Unable to allocate 7 PiB for an array with shape (1, 2)")) == (
        "out of memory",
        MEMORY,
    )


@pytest.mark.parametrize("case", TENSORFLOW)
def test_an_error_of_tensorflow(case):
    kind, message, expected = TENSORFLOW[case]
    assert parts(kind(None, None, message)) == expected


def test_a_long_path_does_not_hide_what_is_wrong_with_it():
    path = "/x/" + "a" * 400
    error = tf.errors.ResourceExhaustedError(None, None, f"{path}; No space left on device")
    assert parts(error) == (f"{path}: No space left on device", SPACE)
    told = as_user_error(tf.errors.InternalError(None, None, "many words " * 100))
    assert 280 < len(told.problem) <= 300
    assert told.problem.endswith(" ...")


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), RuntimeError("No space left on device")])
def test_a_fault_of_the_program_is_none_of_the_users(error):
    assert as_user_error(error) is None


def test_the_text_of_a_graph_is_left_out():
    assert one_line(GRAPH_ERROR.format("GPU", "GPU_0_bfc")) == (
        "OOM when allocating tensor with shape[16,256,64,64] and type float on "
        "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc"
    )


def test_a_network_that_may_not_be_seen_is_not_replaced_by_the_one_that_comes_along(tmp_path, monkeypatch):
    (tmp_path / "checkpoint").mkdir()
    config = Config(run="upscale", checkpoint_dir=str(tmp_path / "checkpoint"))
    assert srez_main.with_network(config).checkpoint_dir.endswith("pretrained/sharp")  # nothing is in it
    stat = os.stat

    def denied(path: str, *rest: object, **options: object) -> os.stat_result:
        if path == config.checkpoint_dir:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return stat(path, *rest, **options)

    monkeypatch.setattr(os, "stat", denied)
    with pytest.raises(PermissionError):
        srez_main.with_network(config)


@pytest.mark.parametrize(
    ("count", "more"), [(0, []), (3, []), (4, ["and 1 more grids"]), (5003, ["and 5,000 more grids"])]
)
def test_of_many_lines_three_and_a_count(count, more):
    lines = [f"skipped {n}" for n in range(count)]
    assert few(lines, "grids") == lines[:3] + more


# ---- commands --------------------------------------------------------------------------------------


@pytest.fixture
def fails(monkeypatch, capsys) -> Callable[[Exception], tuple[str, str]]:
    """What both commands write on standard error when something raises an error."""

    def both(error: Exception) -> tuple[str, str]:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(srez_main.flags, "define_flags", lambda: None)
        monkeypatch.setattr(srez_main.flags, "parse", fail)
        monkeypatch.setattr(srez_main.Stop, "install", lambda self: self)
        monkeypatch.setattr(download_data, "run", fail)
        assert srez_main.main(["srez_main.py"]) == 2
        first = capsys.readouterr().err
        assert download_data.main([]) == 2
        return first, capsys.readouterr().err

    return both


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("this", "that"), "this: that"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.png"),
            f"a.png: No space left on device: {SPACE}",
        ),
        (MemoryError(), f"out of memory: {MEMORY}"),
        (
            tf.errors.ResourceExhaustedError(None, None, GRAPH_ERROR.format("GPU", "GPU_0_bfc")),
            f"out of memory on the GPU: {GPU_MEMORY}",
        ),
    ],
)
def test_both_commands_say_it_on_one_line(fails, error, line):
    assert fails(error) == (f"srez: {line}\n", f"download_data: {line}\n")


def test_both_commands_show_where_a_fault_of_the_program_is(fails):
    with pytest.raises(ZeroDivisionError):
        fails(ZeroDivisionError("a fault"))


def options(folder: str) -> dict[str, str]:
    return {
        "train_dir": folder,
        "checkpoint_dir": "checkpoint",
        "summary_dir": "summary",
        "dataset": "synthetic",
    }


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("a_file/x", "a_file/x: Not a directory: name a folder, not a file"),
        ("a" * 300, f"{'a' * 300}: File name too long: choose a shorter name"),
        ("s3://x/y", f"s3://x/y: TensorFlow has no file system 's3' here: {FILE_SYSTEM}"),
    ],
)
def test_a_folder_that_cannot_be_made(srez, tmp_path, folder, line):
    (tmp_path / "a_file").touch()
    done = srez("--run=train", cwd=tmp_path, **options(folder))
    assert (done.returncode, done.stderr) == (2, f"srez: {line}\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(srez, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    done = srez("--run=train", cwd=tmp_path, **options("locked/train"))
    assert (done.returncode, done.stderr) == (2, f"srez: locked/train: Permission denied: {PERMISSION}\n")
