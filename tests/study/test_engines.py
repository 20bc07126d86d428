"""Where a study's trainings run: shares of a machine; a cluster of Ray whose node dies."""

import csv
import functools
import os
import pickle
import sys
import threading
import types
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
from helpers import ROOT, wait_for

from srez.errors import UserError
from srez.options.config import Config
from srez.study import conduct, engines, train
from srez.study.engines import node_share
from srez.study.train import THREADS, thread_share
from srez.system.signals import Stop


def test_a_share_of_the_processors(monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    names = ["OMP_NUM_THREADS", "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"]
    assert sorted(thread_share(7, 2).items()) == [(name, "3") for name in names]
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    assert [value for _, value in sorted(thread_share(2, 8).items())] == ["1", "1", "5"]


@pytest.mark.parametrize(
    ("jobs", "wanted", "share"),
    [
        (1, -1, (16, 1)),  # two GPUs, of which a training takes one
        (2, -1, (16, 1)),
        (3, -1, (16, 0.5)),
        (5, -1, (16, pytest.approx(1 / 3))),
        (2, 0, (4, 0)),  # then the node without GPUs trains too
        (2, 0.25, (16, 0.25)),
        (2, 2, (16, 2)),
        (2, 4, (32, 4)),  # which the node with two does not train
    ],
)
def test_a_share_of_the_smallest_node(jobs, wanted, share):
    nodes = [{"CPU": 0}, {"CPU": 4.0}, {"CPU": 16.0, "GPU": 2.0}, {"CPU": 32.0, "GPU": 8.0}]
    assert node_share(nodes, jobs, wanted) == share


def test_a_cluster_that_shows_no_node_yet(monkeypatch):
    monkeypatch.setattr("srez.study.engines.processors", lambda: 6)
    assert node_share([{"memory": 1.0}], 2, -1) == (6, 0)
    assert node_share([], 2, 1) == (6, 1)


def test_without_ray_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    config = Config(run="study", study="smoke", study_dir=str(tmp_path / "s"), engine="ray")
    with pytest.raises(UserError, match=r"--engine=ray needs Ray: pip install -e '.\[cluster\]'"):
        conduct.run_study(config, Stop(), {}, "srez_main.py")


# ---- what Ray is asked and what it says ------------------------------------------------------------

TWO = "[base]\nmax_batches = 1\n[axes]\nwidth = [0.25, 0.5]\n"
BAD, GOOD = "10.0.0.1", "10.0.0.2"
# as Ray 2.60 gives them
FRAMES = f"\x1b[36mray::train_on_node()\x1b[39m (pid=17, ip={BAD})\n  File 'a.py', line 1, in train\n"
NO_SREZ = f"""{FRAMES}RuntimeError: The remote function failed to import on the worker. sys.path ['/x']:

{FRAMES}               ^^^^^^^^^^^^
ModuleNotFoundError: No module named 'srez'"""
CRASHED = "The worker died unexpectedly while executing this task. Check *.log files for more information."
RAY_LOGS = "see Ray's logs on it, /tmp/ray/session_latest/logs"


class RayTaskError(Exception):
    """As Ray's own: a traceback, and the error of the task."""

    def __init__(self, text: str, cause: Exception):
        super().__init__(text)
        self.cause = cause


def a_node(address: str, cpu: float, gpu: float = 0.0) -> dict:
    return {
        **{"NodeID": f"id-{address}", "NodeManagerAddress": address, "Alive": True},
        "Resources": {"CPU": cpu, "GPU": gpu},
    }


class Ray(types.ModuleType):
    """A cluster that does each task at once, on the first node that it may have."""

    def __init__(self, *nodes: dict):
        super().__init__("ray")
        self.nodes, self.here, self.asked = lambda: list(nodes), "", {}
        self.init = self.wait = self.cancel = self.shutdown = lambda *_, **__: None
        self.get_gpu_ids = list
        self.util = types.SimpleNamespace(get_node_ip_address=lambda: self.here)

    def remote(self, **asked: object) -> Callable:
        self.asked = asked

        def with_options(function: Callable, label_selector: dict[str, str] | None = None):
            avoided = label_selector["ray.io/node-id"][len("!in(") : -1].split(",") if label_selector else []
            node = next(node for node in self.nodes() if node["NodeID"] not in avoided)
            return types.SimpleNamespace(remote=lambda *words: self.task(node, function, words))

        return lambda function: types.SimpleNamespace(options=functools.partial(with_options, function))

    def task(self, node: dict, function: Callable, words: tuple) -> types.SimpleNamespace:
        self.here, future = node["NodeManagerAddress"], Future()
        try:
            future.set_result(self.work(function, words))
        except Exception as error:
            future.set_exception(error)
        return types.SimpleNamespace(future=lambda: future)

    def work(self, function: Callable, words: tuple) -> object:
        return function(*words)


@pytest.fixture
def on_two_nodes(tmp_path, monkeypatch):
    """A cluster of two nodes, and a function that does a study of two fake trainings on it."""
    ray = Ray(a_node(BAD, 4.0), a_node(GOOD, 4.0))
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(conduct, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(train, "POLL_SECONDS", 0.02)
    (tmp_path / "two.toml").write_text(TWO)

    def study() -> int:
        words = {"study": str(tmp_path / "two.toml"), "study_dir": str(tmp_path / "study")}
        config = Config(run="study", engine="ray", **words)
        return conduct.run_study(config, Stop(), {}, str(ROOT / "tests" / "fake_training.py"))

    return ray, study


@pytest.mark.parametrize(
    ("where", "fault", "told"),
    [
        (
            *("work", RayTaskError(NO_SREZ, RuntimeError("The remote function"))),
            "ModuleNotFoundError: No module named 'srez': "
            "install the same srez there, in the environment of its Ray",
        ),
        (
            *("work", RayTaskError(f"{FRAMES}TypeError: \x1b[1mno\x1b[0m int", TypeError("no int"))),
            f"TypeError: no int: {RAY_LOGS}",
        ),
        (
            *("chdir", FileNotFoundError(2, "No such file or directory", "/shared/code")),
            "/shared/code: No such file or directory: share that folder, or ray stop there",
        ),
        (
            *("stat", FileNotFoundError(2, "No such file or directory", "/shared/s/study.toml")),
            "/shared/s/study.toml: No such file or directory: share that folder, or ray stop there",
        ),
        (
            *("train_one", OSError(30, "Read-only file system", "/shared/s/runs")),
            "/shared/s/runs: Read-only file system: choose a folder that can be written",
        ),
        (
            *("train_one", {"exit": 2, "message": "srez: dataset 'faces' is not there: name a folder"}),
            "dataset 'faces' is not there: name a folder",
        ),
        ("train_one", {"exit": 1, "message": "No GPU"}, "No GPU"),
    ],
)
def test_a_node_that_cannot_train_is_named_and_others_do_its_trainings(
    on_two_nodes, tmp_path, monkeypatch, capsys, where, fault, told
):
    ray, study = on_two_nodes
    owner = {"work": ray, "train_one": engines}.get(where, os)
    whole = getattr(owner, where)

    def faulty(*words: object, **more: object) -> object:
        if ray.here != BAD or (where == "stat" and not str(words[0]).endswith("study.toml")):
            return whole(*words, **more)
        if isinstance(fault, Exception):
            raise fault
        return fault

    monkeypatch.setattr(owner, where, faulty)
    assert study() == 0
    out, err = capsys.readouterr()
    log = tmp_path / "study" / "runs" / "0.25-s0" / "output.log"
    said = f"node {BAD}: {told}" if told != "No GPU" else f"ended with code 1 (No GPU; {log})"
    assert [line for line in out.splitlines() if "tried once more" in line] == [
        f"1 of 2, 0.25-s0: {said}, tried once more"  # and the second is not sent there at all
    ]
    assert "2 of 2 finished" in out
    assert (err, "Traceback" in out, "\x1b" in out) == ("", False, False)


def test_a_training_that_no_node_can_do_ends_no_other(on_two_nodes, monkeypatch, capsys):
    ray, study = on_two_nodes

    def work(function: Callable, words: tuple) -> object:
        if pickle.loads(words[0]).run.name == "0.25-s0":
            raise RuntimeError(CRASHED)
        return function(*words)

    monkeypatch.setattr(ray, "work", work)
    with pytest.raises(UserError, match=r"^1 training failed \(0.25-s0\): see above and their output.log"):
        study()
    out = capsys.readouterr().out
    for then in ("tried once more", "given up"):
        assert f"1 of 2, 0.25-s0: node unknown: {CRASHED}: {RAY_LOGS}, {then}" in out
    assert "1 of 2 finished" in out


def test_a_training_that_another_study_holds_is_waited_for_at_the_end(on_two_nodes, monkeypatch, capsys):
    _, study = on_two_nodes
    asked, whole = [], engines.train_one

    def held(training, environment, gpu, patience, *rest):
        asked.append((training.run.name, patience))
        return None if len(asked) == 1 else whole(training, environment, gpu, patience, *rest)

    monkeypatch.setattr(engines, "train_one", held)
    assert study() == 0
    assert asked == [("0.25-s0", 0.0), ("0.5-s0", 0.0), ("0.25-s0", 0.1)]


WAITS = "waiting for a machine with {} GPUs for a training: the cluster has none; add one{}"


@pytest.mark.parametrize(
    ("jobs", "ray_gpus", "nodes", "asked", "said"),
    [
        (1, -1.0, [(4.0, 0.0)], (4, 0), []),
        (3, -1.0, [(4.0, 0.0)], (4 / 3, 0), []),  # three have room, not four
        (8, -1.0, [(4.0, 0.0)], (0.5, 0), []),
        (3, -1.0, [(0.0, 0.0), (8.0, 2.0), (16.0, 4.0)], (8 / 3, 0.5), []),
        (2, 2.0, [(8.0, 1.0), (16.0, 2.0)], (8, 2), []),
        (2, 2.0, [(8.0, 1.0)], (4, 2), [WAITS.format("4 processors and 2", ", or lower --ray_gpus")]),
        (4, 0.0, [(0.0, 0.0)], (1.5, 0), [WAITS.format("1.5 processors and 0", "")]),
    ],
)
def test_what_a_training_asks_of_a_machine(monkeypatch, jobs, ray_gpus, nodes, asked, said):
    ray, lines = Ray(*(a_node(str(n), *node) for n, node in enumerate(nodes))), []
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(engines, "processors", lambda: 6)
    config = Config(run="study", engine="ray", jobs=jobs, ray_gpus=ray_gpus)
    with engines.on_ray(config, lines.append):
        assert (ray.asked["num_cpus"], ray.asked["num_gpus"]) == pytest.approx(asked)
    assert lines == said


# ---- a cluster -------------------------------------------------------------------------------------

STUDY = """
seeds = [0, 1]
[base]
dataset = "synthetic"
gen_architect = "deconv"
width = 0.03125
batch_size = 2
test_vectors = 10
max_batches = 200
log_period = 1
summary_period = 50
checkpoint_period = 5
checkpoint_keep = 1
deterministic = true
[axes]
objective = [{preset = "2017-gan"}, {preset = "wgan-gp"}]
"""


def table(folder: Path) -> list[dict[str, str]]:
    """results.csv without its times."""
    rows = list(csv.DictReader((folder / "results.csv").open()))
    return [{name: value for name, value in row.items() if name != "minutes"} for row in rows]


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of Ray with two nodes on this machine, each with one processor."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[cluster]'")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the nodes
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.mark.extra
def test_an_interruption_and_a_dead_node_of_a_cluster_change_no_result(cluster, tmp_path, monkeypatch):
    for name in THREADS:
        monkeypatch.setenv(name, "1")
    toml, here, there = tmp_path / "small.toml", tmp_path / "local", tmp_path / "ray"
    toml.write_text(STUDY)

    def study(folder: Path, stop: Stop, **options) -> int:
        config = Config(run="study", study=str(toml), study_dir=str(folder), **options)
        return conduct.run_study(config, stop, {}, str(ROOT / "srez_main.py"))

    def lines(pattern: str, text: str) -> int:
        return sum(path.read_text().count(text) for path in there.glob(f"runs/*/{pattern}"))

    def on_cluster(stop: Stop, act: Callable[[], object]) -> int:
        """The study on the cluster; acts when its trainings have done 40 batches."""
        before = lines("checkpoint/metrics.jsonl", "\n")
        acting = threading.Thread(
            target=lambda: (
                wait_for(lambda: lines("checkpoint/metrics.jsonl", "\n") > before + 40, 300),
                act(),
            )
        )
        acting.start()
        code = study(there, stop, engine="ray", ray_address=cluster.address)
        acting.join()
        return code

    stop = Stop()
    assert on_cluster(stop, lambda: setattr(stop, "requested", "SIGTERM")) == 75
    assert lines("output.log", "SIGTERM: stopped after batch") >= 1
    assert not list(there.glob("runs/*/outcome.json"))
    begun = lines("output.log", "--run=train")
    node = cluster.list_all_nodes()[1]
    assert on_cluster(Stop(), lambda: cluster.remove_node(node, allow_graceful=False)) == 0
    assert lines("output.log", "--run=train") == begun + 4 + 1  # of the five one was on the node
    assert study(here, Stop(), jobs=2) == 0
    assert table(there) == table(here)
    assert [row["batches"] for row in table(there)] == ["200"] * 4
