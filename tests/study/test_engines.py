"""Where a study's trainings run: shares of a machine; a cluster of Ray whose node dies."""

import csv
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import ROOT, wait_for

from srez.errors import UserError
from srez.options.config import Config
from srez.study import conduct
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
