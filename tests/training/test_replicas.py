"""Several devices and several workers train as one would. Two logical CPUs and two processes on 127.0.0.1."""

import dataclasses
import fcntl
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT

from srez.data.dataset import open_dataset
from srez.errors import UserError
from srez.networks.build import CRITIC_NORMS
from srez.options.config import OBJECTIVES, Config
from srez.runs.run import read_metrics
from srez.runs.trained import saved_batches
from srez.training.replicas import Replicas, check_cluster, open_replicas
from srez_input import open_stream

TINY = [
    "--gen_architect=deconv",
    "--width=0.03125",
    "--batch_size=4",
    "--test_vectors=4",
    "--epsilon=1",
    "--learning_rate_start=1e-2",
]
TOLERANCE = 1e-5


# ---- processes -------------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def ends(processes: list[subprocess.Popen], seconds: float) -> list[tuple[int, str, str]]:
    """Exit codes and what was said, once all have ended."""
    told = [process.communicate(timeout=seconds) for process in processes]
    return [(p.returncode, out, err) for p, (out, err) in zip(processes, told, strict=True)]


# ---- the arithmetic --------------------------------------------------------------------------------

SOME = [{"loss_func": "wgangp", "critic_norm": "batch", "critic_iters": 2, "gene_ema": 0.9}]
MORE = [{"loss_func": "hinge", "critic_norm": "spectral", "input": "noise"}]
MORE += [{"loss_func": o, "critic_norm": n} for o, n in itertools.product(OBJECTIVES, CRITIC_NORMS)]
MORE += [
    # seed 1 has a ReLU at its kink in batch 5: weights moved by one ulp make the same 3e-5 there
    {"gen_architect": "resnet", "loss_func": "wgangp", "critic_norm": "layer", "random_seed": 2},
    {"optimizer": "rmsprop", "learning_rate_start": 1e-4, "gen_norm": 0, "gene_pixel_factor": 1.0},
    {"precision": "float16"},
    {"gene_lpips_factor": 1.0, "back_projection": 2},
    {"critic_iters": 0, "gene_l1_factor": 1.0, "gene_pixel_factor": 5.0},
]


def environments(kind: str) -> list[dict[str, str]]:
    """What the processes find in their environment: one with two devices, or two workers."""
    if kind == "devices":
        return [{}]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]


def compare(cases: list[dict], kind: str, spawn) -> list[list[dict]]:
    """Each case trained on one device and on two replicas, as every process found it."""
    words = [sys.executable, str(ROOT / "tests" / "replicas_child.py"), *map(json.dumps, cases)]
    here = os.environ | {"PYTHONPATH": str(ROOT)}
    started = [spawn(words, env=here | added) for added in environments(kind)]
    ended = ends(started, 1500)
    assert [code for code, *_ in ended] == [0] * len(started), ended
    return [[json.loads(line) for line in out.splitlines() if line.startswith("{")] for _, out, _ in ended]


@pytest.mark.parametrize(
    ("cases", "kind"),
    [
        pytest.param(SOME, "devices", id="devices"),
        pytest.param(MORE, "devices", id="devices, more", marks=pytest.mark.slow),
        pytest.param(SOME + MORE, "workers", id="workers", marks=pytest.mark.slow),
    ],
)
def test_two_replicas_train_as_one_device(cases, kind, spawn):
    results = compare(cases, kind, spawn)
    assert [len(result) for result in results] == [len(cases)] * len(results)
    for case, found in [pair for result in results for pair in zip(cases, result, strict=True)]:
        half = case.get("precision") == "float16"
        limit = min(5e-5, found["moved"] / 3) if half else min(TOLERANCE, found["moved"] / 10)
        apart = sorted(found["apart"].items(), key=lambda item: -item[1])
        assert len(apart) > 10
        assert apart[0][1] <= limit, (case, apart[:5])
        assert found["moved"] > 3 * TOLERANCE, case
        assert found["losses"][0] == pytest.approx(found["losses"][1], abs=1e-2 if half else 1e-4), case
        assert len(set(found["losses"][0])) == (1 if half else 10)


MIRRORED = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import srez_main
sys.exit(srez_main.main(["srez_main.py", *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_the_command_trains_on_all_devices_of_the_machine(faces, tmp_path):
    words = ["--run=train", "--strategy=mirrored", f"--dataset={faces}", *TINY, "--max_batches=3"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}

    def run(*more: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", MIRRORED, *words, *more]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = run()
    assert done.returncode == 0, done.stderr
    assert "training on 2 CPUs" in done.stdout
    assert "done: --max_batches=3" in done.stdout
    assert [line["batch"] for line in read_metrics(str(tmp_path / "checkpoint" / "metrics.jsonl"))] == [0, 3]
    refused = run("--batch_size=5", "--noresume")
    assert refused.returncode == 2
    assert "--batch_size=5 with 2 replicas" in refused.stderr


def test_shares_of_the_stream_make_the_whole(faces):
    dataset = open_dataset(Config(dataset=faces, batch_size=6))
    whole = list(itertools.islice(open_stream(dataset, 12), 3))
    for first, count in ((0, 2), (2, 4)):
        share = list(itertools.islice(open_stream(dataset, 12, first, count), 3))
        for a, b in zip(whole, share, strict=True):
            np.testing.assert_array_equal(a.label[first : first + count], b.label)
            np.testing.assert_array_equal(a.feature[first : first + count], b.feature)


# ---- what is refused -------------------------------------------------------------------------------


class Fake(Replicas):
    """Six replicas, two each of three workers."""

    def __init__(self, index: int):
        super().__init__()
        self.count, self.local, self.workers, self.index = 6, 2, 3, index


def test_shares_of_a_batch():
    assert [Fake(i).share(12) for i in range(3)] == [(0, 4), (4, 4), (8, 4)]
    assert Replicas().share(5) == (0, 5)
    with pytest.raises(UserError, match=r"--batch_size=16 with 6 replicas.*multiple of 6"):
        Fake(0).share(16)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "TF_CONFIG is ''"),
        ("{", "JSONDecodeError"),
        ('{"cluster": {"worker": ["a:1"]}}', "task"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "IndexError"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', "chief"),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
            "no roles but",
        ),
    ],
)
def test_a_wrong_tf_config_is_refused(text, match):
    with pytest.raises(UserError, match=match):
        check_cluster(text)


def test_a_right_tf_config_is_taken():
    check_cluster(
        '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}'
    )


def test_one_device_is_no_strategy(monkeypatch):
    for strategy in ("none", "auto"):
        replicas = open_replicas(Config(strategy=strategy))
        assert (replicas.count, replicas.chief, replicas.workers) == (1, True, 1)
    config = Config(strategy="multiworker")
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match="TF_CONFIG"):
        open_replicas(dataclasses.replace(config))


# ---- workers ---------------------------------------------------------------------------------------


@pytest.fixture
def workers(spawn, faces, tmp_path):
    """Starts two workers, each in a folder of its own; their processes. `extra`: options by worker."""

    def start(*options: str, extra: tuple = ((), ())) -> list[subprocess.Popen]:
        started = []
        for index, added in enumerate(environments("workers")):
            folder = tmp_path / f"worker{index}"
            folder.mkdir(exist_ok=True)
            words = [sys.executable, str(ROOT / "srez_main.py"), "--run=train", f"--dataset={faces}"]
            words += ["--strategy=multiworker", *TINY, *options, *extra[index]]
            environment = os.environ | added | {"PYTHONUNBUFFERED": "1"}
            started.append(spawn(words, cwd=folder, env=environment))
        return started

    return start


def wait_for(path: Path, batch: int, seconds: float = 240) -> None:
    """Until the figures of a batch are written."""
    end = time.monotonic() + seconds
    while not path.exists() or not any(line["batch"] >= batch for line in read_metrics(str(path))):
        assert time.monotonic() < end, f"batch {batch} is not reached"
        time.sleep(0.1)


def weights(folder: Path) -> dict[str, np.ndarray]:
    """Arrays of the newest checkpoint by name, without counts of time and what has no gradient."""
    reader = tf.train.load_checkpoint(str(folder))
    names = [n for n in reader.get_variable_to_shape_map() if "kernel" in n and "optimizer" not in n]
    return {name: reader.get_tensor(name) for name in names}


@pytest.mark.slow
def test_workers_and_one_device_go_on_with_each_others_runs(workers, srez, faces, tmp_path):
    """Two workers, of which one is signalled; one device; two workers: as one device alone."""
    chief = tmp_path / "worker0"
    processes = workers("--max_batches=100000", "--log_period=1", "--summary_period=100000")
    wait_for(chief / "checkpoint" / "metrics.jsonl", 3)
    processes[1].send_signal(signal.SIGTERM)
    ended = ends(processes, 120)
    assert [code for code, *_ in ended] == [75, 75], ended
    (saved,) = saved_batches(str(chief / "checkpoint"))
    (_, told, _), (_, silence, _) = ended
    assert f"a signal to another worker: stopped after batch {saved}, saved" in told
    assert "training on 2 workers with 1 CPU" in told
    assert read_metrics(str(chief / "checkpoint" / "metrics.jsonl"))[-1]["batch"] == saved
    assert silence == "waiting until all 2 workers of TF_CONFIG are there\n"  # what is told is told once
    assert [*(tmp_path / "worker1").iterdir()] == []  # and written once

    alone = ["--run=train", f"--dataset={faces}", *TINY]
    one = srez(*alone, f"--max_batches={saved + 2}", cwd=chief)
    assert one.returncode == 0, one.stderr
    assert f"continuing after batch {saved}" in one.stdout
    ended = ends(workers(f"--max_batches={saved + 4}"), 300)
    assert [code for code, *_ in ended] == [0, 0], ended
    assert f"continuing after batch {saved + 2}" in ended[0][1]

    (tmp_path / "alone").mkdir()
    assert srez(*alone, f"--max_batches={saved + 4}", cwd=tmp_path / "alone").returncode == 0
    together, expected = weights(chief / "checkpoint"), weights(tmp_path / "alone" / "checkpoint")
    assert together.keys() == expected.keys()
    assert len(together) > 10
    for name in expected:
        np.testing.assert_allclose(together[name], expected[name], rtol=0, atol=TOLERANCE, err_msg=name)


@pytest.mark.parametrize(
    ("victim", "how"),
    [
        pytest.param(0, signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(1, signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(1, signal.SIGSTOP, marks=pytest.mark.slow),  # as a machine that has vanished
    ],
)
def test_a_worker_that_dies_ends_the_others(victim, how, workers, tmp_path):
    processes = workers("--max_batches=100000", "--log_period=1", "--checkpoint_period=2")
    wait_for(tmp_path / "worker0" / "checkpoint" / "metrics.jsonl", 5)
    processes[victim].send_signal(how)
    code, _, complaint = ends(processes[1 - victim : 2 - victim], 120)[0]
    assert code == 75, complaint
    assert "a worker is gone" in complaint
    assert "start all workers again with the same command" in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize(
    "other", ["--width=0.0625", pytest.param("--learning_rate_start=1e-3", marks=pytest.mark.slow)]
)
def test_workers_with_other_options_are_refused(other, workers, tmp_path):
    ended = ends(workers("--max_batches=3", extra=((), [other])), 300)
    assert [code for code, *_ in ended] == [2, 2], ended
    assert all("different options or pictures" in complaint for *_, complaint in ended)
    assert saved_batches(str(tmp_path / "worker0" / "checkpoint")) == []


@pytest.mark.slow  # the others' end is tested quicker by a worker that dies
def test_a_chief_that_cannot_begin_ends_the_others(workers, tmp_path):
    folder = tmp_path / "worker0" / "checkpoint"
    folder.mkdir(parents=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (code, _, complaint), (other, _, lost) = ends(workers("--max_batches=3"), 120)
    assert (code, other) == (2, 75), (complaint, lost)
    assert "is in use by another training" in complaint
    assert "a worker is gone" in lost


@pytest.mark.slow
def test_all_workers_go_back_where_the_training_diverges(workers):
    ended = ends(workers("--max_batches=50", "--learning_rate_start=1e30", "--on_divergence=restore"), 300)
    assert [code for code, *_ in ended] == [3, 3], ended
    assert "restored (3 of 3)" in ended[0][1]


def test_slurm_names_the_workers(tmp_path):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames node[1-2]" ] && printf "node1\\nnode2\\n"\n')
    scontrol.chmod(0o755)
    slurm = {
        "SLURM_NTASKS": "2",
        "SLURM_NNODES": "2",
        "SLURM_NODEID": "1",
        "SLURM_STEP_NODELIST": "node[1-2]",
    }
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"} | slurm
    words = [str(ROOT / "scripts" / "slurm.sh"), "sh", "-c", 'echo "$TF_CONFIG"']
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    check_cluster(done.stdout)
    assert json.loads(done.stdout) == {
        "cluster": {"worker": ["node1:2222", "node2:2222"]},
        "task": {"type": "worker", "index": 1},
    }
    environment["SLURM_NTASKS"] = "4"
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "one task on each node" in done.stderr
