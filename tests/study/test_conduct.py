"""Studies at work: every training once and to its end, whatever happens; locks, shards, what is said."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_study import a_run
from helpers import ROOT, nvidia_smi, wait_for

from srez.errors import UserError
from srez.options.config import Config
from srez.study import conduct, engines, train
from srez.system.signals import Stop

FAKE = ROOT / "tests" / "fake_training.py"
STUDY = """
title = "Four trainings?"
seeds = [0, 1]
[base]
max_batches = {batches}
[axes]
width = [0.25, 0.5]
"""
NAMES = ["0.25-s0", "0.5-s0", "0.25-s1", "0.5-s1"]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Runs a study of four fake trainings in this process; the exit code."""
    monkeypatch.setattr(conduct, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(train, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(conduct, "LOCK_SECONDS", 0.1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def run(
        batches: int = 5,
        text: str = STUDY,
        given: dict | None = None,
        plan: dict | None = None,
        check: Callable[[Config], None] = lambda training: None,
        **options,
    ) -> int:
        path = tmp_path / "small.toml"
        path.write_text(text.replace("{batches}", str(batches)))
        monkeypatch.setenv("FAKE_PLAN", json.dumps(plan or {}))
        config = Config(run="study", study=str(path), study_dir=str(tmp_path / "study"), **options)
        return conduct.run_study(config, Stop(), given or {}, str(FAKE), check)

    return run


def events(tmp_path: Path, what: str = "start") -> list[dict]:
    """What the fake trainings noted."""
    path = tmp_path / "study" / "starts.jsonl"
    lines = map(json.loads, path.read_text().splitlines()) if path.exists() else []
    return [line for line in lines if line["what"] == what]


def started(tmp_path: Path) -> list[str]:
    return [line["name"] for line in events(tmp_path)]


def outcomes(tmp_path: Path) -> dict[str, dict]:
    return {
        p.parent.name: json.loads(p.read_text()) for p in (tmp_path / "study").glob("runs/*/outcome.json")
    }


def batches(tmp_path: Path) -> dict[str, list[int]]:
    """Batches in the order in which each training told of them."""
    return {
        path.parents[1].name: [json.loads(line)["batch"] for line in path.read_text().splitlines()]
        for path in (tmp_path / "study").glob("runs/*/checkpoint/metrics.jsonl")
    }


# ---- from start to end -----------------------------------------------------------------------------


def test_every_training_once_in_order_with_an_outcome(study, tmp_path, capsys):
    assert study() == 0
    assert started(tmp_path) == NAMES
    assert outcomes(tmp_path) == {
        name: {"exit": 0, "batches": 5, "minutes": 0.083, "message": "done: --max_batches=5 reached"}
        for name in NAMES
    }
    assert batches(tmp_path) == {name: [1, 2, 3, 4, 5] for name in NAMES}
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "study small: Four trainings?",
        "  width: 0.25, 0.5",
        "  dataset: dataset",
        "2 cells, 0 of them left out, 2 seeds: 4 trainings, 20 batches",
        "to do here: 4 trainings, 0 of them finished",
    ]
    assert lines[5] == "1 of 4, 0.25-s0: starts"
    ends = [line for line in lines[6:-1] if "starts" not in line]
    assert ends[0].startswith(
        "1 of 4, 0.25-s0: done after 5 batches, 0.1 minutes: PSNR 25.0 dB; 1 of 4 finished, ETA "
    )
    assert lines[-1] == f"4 of 4 finished; report: {tmp_path}/study/report.html"
    assert len(lines) == 5 + 2 * 4 + 1


def test_what_a_training_is_told(study, tmp_path):
    study(given={"study": "x", "dataset": "synthetic", "xla": True})
    run = tmp_path / "study" / "runs" / "0.5-s1"
    words = next(line["words"] for line in events(tmp_path) if line["name"] == "0.5-s1")
    assert words[0] == "--run=train"
    assert set(words[1:]) == {
        *(f"--{name}_dir={run / name}" for name in ("checkpoint", "train", "summary")),
        *(
            "--width=0.5",
            "--random_seed=1",
            "--max_batches=5",
            "--train_time=0.0",
            "--dataset=synthetic",
            "--xla",
        ),
    }
    log = (run / "output.log").read_text().splitlines()
    assert log[0].endswith(" ".join(words))
    assert log[1] == "done: --max_batches=5 reached"


def test_a_second_time_nothing_is_trained(study, tmp_path, capsys):
    study()
    capsys.readouterr()
    assert study() == 0
    assert started(tmp_path) == NAMES
    out = capsys.readouterr().out
    assert "to do here: 4 trainings, 4 of them finished" in out
    assert "starts" not in out


def test_divergence_is_a_result(study, tmp_path, capsys):
    assert study(plan={"0.5-s0": 3}) == 0
    assert outcomes(tmp_path)["0.5-s0"] == {
        **{"exit": 3, "batches": 3, "minutes": 0.05},
        "message": "srez: diverged: generator_loss was not finite at batch 3",
    }
    assert (
        "2 of 4, 0.5-s0: diverged after 3 batches, 0.1 minutes: srez: diverged: generator_loss"
        in capsys.readouterr().out
    )
    assert study() == 0
    assert started(tmp_path) == NAMES


def test_what_the_user_can_mend_stops_the_study(study, tmp_path):
    with pytest.raises(UserError) as error:
        study(plan={"0.5-s0": 2}, jobs=2, batches=60)
    assert str(error.value).startswith("0.5-s0 cannot be trained: no such thing: take another (")
    assert str(error.value).endswith("output.log)")
    # the next one may begin before the end of this one is seen
    assert {"0.25-s0", "0.5-s0"} <= set(started(tmp_path)) < set(NAMES)
    assert events(tmp_path, "end")[-1]["code"] == 75  # the one beside it was let finish its batch
    assert outcomes(tmp_path) == {}
    assert study(batches=60, plan={}) == 0
    assert batches(tmp_path) == {name: list(range(1, 61)) for name in NAMES}


@pytest.mark.parametrize(("code", "told"), [(1, "Traceback"), (-9, "killed by SIGKILL"), (75, "Traceback")])
def test_a_crash_is_tried_once_more_then_the_study_goes_on(study, tmp_path, capsys, code, told):
    with pytest.raises(UserError, match=r"1 training failed \(0.5-s0\): see above and their output.log"):
        study(plan={"0.5-s0": code})
    assert started(tmp_path) == [*NAMES, "0.5-s0"]
    assert outcomes(tmp_path)["0.5-s0"]["exit"] == code
    out = capsys.readouterr().out
    assert f"2 of 4, 0.5-s0: ended with code {code} ({told}" in out
    assert "tried once more" in out
    assert "given up" in out
    assert "3 of 4 finished; report:" in out
    assert study() == 0  # the same command tries again
    assert outcomes(tmp_path)["0.5-s0"]["exit"] == 0
    assert batches(tmp_path)["0.5-s0"] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("locked", [0, 1])
def test_a_crash_that_does_not_come_again_is_no_failure(study, tmp_path, monkeypatch, locked):
    tries, whole = [], engines.train_one

    def broken_once(training, environment, *rest):
        tries.append(training.run.name)
        count = tries.count("0.5-s0") if training.run.name == "0.5-s0" else 0
        if count and count <= locked:
            return None
        plan = {"FAKE_PLAN": '{"0.5-s0": 1}' if count == locked + 1 else "{}"}
        return whole(training, environment | plan, *rest)

    monkeypatch.setattr(engines, "train_one", broken_once)
    assert study() == 0
    assert tries == [*NAMES, *["0.5-s0"] * (1 + locked)]
    assert batches(tmp_path)["0.5-s0"] == [1, 2, 3, 4, 5]


# ---- going on --------------------------------------------------------------------------------------


def test_longer_and_more_seeds(study, tmp_path):
    study()
    assert study(batches=7, text=STUDY.replace("[0, 1]", "[0, 1, 2]")) == 0
    names = [*NAMES, "0.25-s2", "0.5-s2"]
    assert started(tmp_path) == NAMES + names
    assert batches(tmp_path) == {name: [1, 2, 3, 4, 5, 6, 7] for name in names}
    assert {o["batches"] for o in outcomes(tmp_path).values()} == {7}
    assert [line["done"] for line in events(tmp_path)][4:] == [5, 5, 5, 5, 0, 0]


def test_a_diverged_training_is_not_made_longer(study, tmp_path):
    study(plan={"0.5-s0": 3})
    study(batches=6)
    assert batches(tmp_path)["0.5-s0"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"text": STUDY.replace("0.25, ", "")}, "0.25-s0 is gone; 0.25-s1 is gone"),
        ({"batches": 4}, "max_batches was 5, now 4 in 4 trainings"),
        ({"given": {"dataset": "faces"}}, "dataset was dataset, now faces in 4 trainings"),
    ],
)
def test_another_study_is_refused_in_the_folder(study, tmp_path, change, part):
    study()
    before = (tmp_path / "study" / "study.toml").read_text()
    with pytest.raises(UserError) as error:
        study(**change)
    assert part in str(error.value)
    assert "choose another --study_dir" in str(error.value)
    assert (tmp_path / "study" / "study.toml").read_text() == before
    assert started(tmp_path) == NAMES


def test_a_dry_run_writes_nothing(study, tmp_path, capsys):
    text = STUDY + "[[exclude]]\nwidth = 0.5\nreason = 'too wide'"
    assert study(text=text, dry_run=True, study_shard="2/2") == 0
    assert capsys.readouterr().out.splitlines() == [
        "study small: Four trainings?",
        "  width: 0.25, 0.5",
        "  dataset: dataset",
        "cells:",
        "  0.25",
        "  0.5   left out (1)",
        "(1) too wide",
        "2 cells, 1 of them left out, 2 seeds: 2 trainings, 10 batches",
        "to do here: 1 training, 0 of them finished",
    ]
    assert not (tmp_path / "study").exists()


def test_a_report_that_fails_is_told(study, monkeypatch):
    monkeypatch.setattr(conduct, "start_report", lambda *_: subprocess.Popen(["sh", "-c", "exit 2"]))
    monkeypatch.setattr(conduct, "last_line", lambda _: "no matplotlib: install it")
    with pytest.raises(
        UserError, match=r"^no report: no matplotlib: install it \(--run report tries again\)"
    ):
        study()


# ---- several at once -------------------------------------------------------------


def test_two_jobs_run_at_once(study, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_PACE", "0.05")
    assert study(jobs=2) == 0
    steps = sorted((line["time"], 1) for line in events(tmp_path)) + [
        (line["time"], -1) for line in events(tmp_path, "end")
    ]
    running, most = 0, 0
    for _, step in sorted(steps):
        running += step
        most = max(most, running)
    assert (running, most) == (0, 2)


def test_each_job_has_a_gpu_of_its_own(study, tmp_path, monkeypatch, capsys):
    nvidia_smi(tmp_path, "GPU 0: NVIDIA H100 (UUID: GPU-a)\nGPU 1: NVIDIA H100 (UUID: GPU-b)")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_PACE", "0.05")
    assert study(jobs=2) == 0
    ends = {line["name"]: line["time"] for line in events(tmp_path, "end")}
    gpus = {line["name"]: line["gpu"] for line in events(tmp_path)}
    assert (gpus["0.25-s0"], gpus["0.5-s0"]) == ("0", "1")
    assert set(gpus.values()) == {"0", "1"}
    for line in events(tmp_path):
        beside = [o for o in events(tmp_path) if o["time"] < line["time"] < ends[o["name"]]]
        assert line["gpu"] not in {o["gpu"] for o in beside}
    assert "2 of 4, 0.5-s0: starts on GPU 1" in capsys.readouterr().out


@pytest.mark.parametrize("left", [True, False])
def test_a_training_that_another_study_holds_comes_last_or_is_left_to_it(
    study, tmp_path, monkeypatch, capsys, left
):
    folder, whole = tmp_path / "study" / "runs" / "0.5-s0", engines.train_one
    folder.mkdir(parents=True)
    lock = (folder / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)

    def let_go(training, environment, gpu, patience, *rest):
        if patience and not left:
            lock.close()
        return whole(training, environment, gpu, patience, *rest)

    monkeypatch.setattr(engines, "train_one", let_go)
    assert study() == 0
    assert started(tmp_path) == ["0.25-s0", "0.25-s1", "0.5-s1", *([] if left else ["0.5-s0"])]
    out = capsys.readouterr().out
    assert f"{3 if left else 4} of 4 finished; report:" in out
    told = (
        "1 training in the hands of another study here (0.5-s0): the same command takes over what it leaves"
    )
    assert (told in out) == left
    lock.close()


def test_shards_are_a_partition():
    runs = [a_run(i) for i in range(11)]
    assert [r.name for r in conduct.shard(runs, "2/4")] == ["1-s0", "5-s0", "9-s0"]
    for count in range(1, 14):
        shards = [conduct.shard(runs, f"{i}/{count}") for i in range(1, count + 1)]
        assert sorted(r.name for s in shards for r in s) == sorted(r.name for r in runs)
        assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("which", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_shards_that_are_none(srez, which, tmp_path):
    done = srez("--run=study", "--study=smoke", f"--study_shard={which}", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"srez: --study_shard={which}: must be I/N with I from 1 to N, as in 2/4\n"


def test_a_shard_does_its_part(study, tmp_path):
    assert study(study_shard="2/3") == 0
    assert started(tmp_path) == ["0.5-s0"]
    assert study() == 0
    assert sorted(started(tmp_path)) == sorted(NAMES)


# ---- processes -------------------------------------------------------------------------------------

DRIVER = """
import sys
import srez_main
from srez.study import conduct, train
srez_main.__file__ = sys.argv.pop(1)
conduct.POLL_SECONDS, train.POLL_SECONDS = 0.02, 0.02
sys.exit(srez_main.main(sys.argv))
"""


@pytest.fixture
def start(tmp_path, spawn):
    """Starts a study of fake trainings in a process of its own."""
    path = tmp_path / "small.toml"

    def run(*words: str, batches: int = 40, pace: float = 0.02) -> subprocess.Popen:
        path.write_text(STUDY.replace("{batches}", str(batches)))
        options = ["--run=study", f"--study={path}", f"--study_dir={tmp_path / 'study'}"]
        options += ["--dataset=synthetic", *words]
        return spawn(
            [sys.executable, "-c", DRIVER, str(FAKE), *options],
            env=os.environ | {"PYTHONPATH": str(ROOT), "FAKE_PACE": str(pace)},
            stderr=subprocess.STDOUT,
        )

    return run


def finish(process: subprocess.Popen) -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    return out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_interrupted_and_gone_on(start, tmp_path, number):
    process = start("--jobs=2")
    wait_for(lambda: sum(map(len, batches(tmp_path).values())) > 20)
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 75
    assert f"{number.name}: trainings finish their batch and save" in out
    assert "stopped: 0 of 4 finished" in out
    assert "the same command goes on" in out
    assert [line["code"] for line in events(tmp_path, "end")] == [75, 75]
    assert outcomes(tmp_path) == {}
    done = batches(tmp_path)
    out = finish(start("--jobs=2"))
    assert f"1 of 4, 0.25-s0: starts after batch {len(done['0.25-s0'])}" in out
    assert batches(tmp_path) == {name: list(range(1, 41)) for name in NAMES}
    assert events(tmp_path, "doubled") == []


def test_finished_trainings_are_kept_when_it_is_interrupted(start, tmp_path):
    process = start(batches=10)
    wait_for(lambda: len(outcomes(tmp_path)) == 2)
    process.terminate()
    process.communicate(timeout=20)
    finish(start(batches=10))
    names = started(tmp_path)
    assert names.count("0.25-s0") == names.count("0.5-s0") == 1
    assert batches(tmp_path) == {name: list(range(1, 11)) for name in NAMES}


def test_a_killed_study_takes_its_trainings_along_and_is_taken_over_at_once(start, tmp_path):
    process = start("--jobs=2")
    wait_for(lambda: len(batches(tmp_path)) == 2)
    process.kill()
    process.wait()
    out = finish(start("--jobs=2"))
    assert "4 of 4 finished" in out
    # by the signal that the kernel sends them
    assert [line["code"] for line in events(tmp_path, "end")].count(75) == 2
    assert batches(tmp_path) == {name: list(range(1, 41)) for name in NAMES}
    assert events(tmp_path, "doubled") == []


def test_three_studies_on_one_folder_do_nothing_twice(start, tmp_path):
    for process in [start(batches=20) for _ in range(3)]:
        finish(process)
    assert sorted(started(tmp_path)) == sorted(NAMES)
    assert batches(tmp_path) == {name: list(range(1, 21)) for name in NAMES}
    assert events(tmp_path, "doubled") == []


# ---- the command itself ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--run=study", "--study=nowhere.toml"], "there is no study 'nowhere.toml'"),
        (["--run=study", "--study=smoke", "--jobs=0"], "--jobs=0: must be at least 1"),
        (
            ["--run=study", "--study=smoke", "--ray_address=a:1"],
            "--ray_address without --engine=ray: it is for a cluster: give both",
        ),
        (
            ["--run=study", "--engine=ray", "--ray_gpus=1.5"],
            "--ray_gpus=1.5: must be a whole number, or a fraction of one GPU",
        ),
        (["--run=study", "--study=smoke", "--study_dir=gs://x"], "must be a local or mounted folder"),
        (
            ["--run=study", "--study=smoke", "--study_dir=a_file"],
            "a_file/runs: Not a directory: name a folder, not a file",
        ),
        (
            ["--run=study", "--study=smoke", "--dataset=nowhere", "--dry_run"],
            "srez: dataset 'nowhere' is not there: name a folder",
        ),
        (["--run=report", "--study_dir=empty"], "'empty' holds no study"),
    ],
)
def test_errors_are_one_line_and_need_no_tensorflow(srez, tmp_path, monkeypatch, words, part):
    (tmp_path / "tensorflow.py").write_text("raise SystemError('TensorFlow was imported')")
    (tmp_path / "a_file").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = srez(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert part in done.stderr


def test_a_dataset_is_looked_for_where_a_training_is_to_be_done_here(study, tmp_path):
    def check(training: Config) -> None:
        raise UserError(f"no {training.dataset}", "")

    with pytest.raises(UserError, match="no dataset"):
        study(check=check)
    assert not (tmp_path / "study" / "starts.jsonl").exists()
    assert study() == 0
    assert study(check=check) == 0  # nothing is left to train


@pytest.mark.slow
def test_smoke_from_another_folder(srez, tmp_path):
    done = srez("--run=study", "--study=smoke", "--study_dir=st", cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "6 of 6 finished; report: st/report.html" in done.stdout
    for name in ("gan-resnet", "gan-deconv", "wgangp-deconv"):
        for seed in (0, 1):
            folder = tmp_path / "st" / "runs" / f"{name}-s{seed}"
            assert json.loads((folder / "outcome.json").read_text())["batches"] == 12
            options = json.loads((folder / "checkpoint" / "config.json").read_text())["options"]
            assert (options["random_seed"], options["width"]) == (seed, 0.03125)
            assert (folder / "train" / "batch000012_out_l.png").exists()
    again = srez("--run=study", "--study=smoke", "--study_dir=st", cwd=tmp_path)
    assert again.returncode == 0
    assert "starts" not in again.stdout
