"""run_script.sh and run_tests.sh with a Python that only notes how it was called."""

from pathlib import Path

import pytest
from fake_machine import build_machine, calls, finish, kill_all_in


@pytest.fixture
def machine(tmp_path, spawn):
    yield build_machine(tmp_path, spawn)
    kill_all_in(tmp_path)


def installed(log: Path) -> list[str]:
    """The last two words of every call of pip."""
    return [" ".join(line.split()[-2:]) for line in log.read_text().splitlines() if "-m pip" in line]


def test_drawn_faces_where_there_is_no_dataset(machine):
    code, out = finish(machine("--loss_func=wgangp"))
    assert code == 0, out
    (train,), (demo,) = calls(machine.log, "train"), calls(machine.log, "demo")
    assert "--dataset=synthetic --preset=quick --loss_func=wgangp" in train
    assert "--gene_l1_factor" not in train
    assert "--train_noise" not in train
    assert train.endswith("--loss_func=wgangp")
    for folder in ("--train_dir=train_1", "--checkpoint_dir=checkpoint_1", "--summary_dir=summary_1"):
        assert folder in train
        assert folder in demo
    assert "--precision" not in train
    assert "drawn faces (not photographs)" in out
    assert "train_1" in out
    assert "shutdown" not in machine.log.read_text()


@pytest.mark.parametrize("dataset", ["faces.pack", "gs://bucket/faces", "not/there"])
def test_a_dataset_that_is_named_is_used_or_refused_but_never_replaced(machine, dataset):
    finish(machine(DATASET=dataset))
    (train,) = calls(machine.log, "train")
    assert train.endswith(f" --dataset={dataset} --preset=sharp")


@pytest.mark.parametrize(
    ("preset", "dataset", "passed"),
    [
        ("2017-gan", "faces", "--dataset=faces --preset=2017-gan"),
        ("", "faces", "--dataset=faces"),
        ("wgan-gp", "", "--dataset=synthetic --preset=wgan-gp"),
        ("auto", "", "--dataset=synthetic --preset=quick"),
    ],
)
def test_another_recipe_or_none(machine, preset, dataset, passed):
    finish(machine(PRESET=preset, DATASET=dataset))
    (train,) = calls(machine.log, "train")
    assert train.endswith(f" {passed}")


def test_parameters_by_environment(machine):
    (machine.root / "dataset").mkdir()
    code, out = finish(machine(RUNNUM="7", SPERIOD="50", L1FAC="0.5", NOISE="0", TIME="3"))
    assert code == 0, out
    (train,) = calls(machine.log, "train")
    for part in ("--dataset=dataset", "--train_dir=train_7", "--summary_period=50", "--gene_l1_factor=0.5"):
        assert part in train
    assert "--train_noise=0 " in train
    assert "--train_time=3" in train
    assert "--preset=sharp" in train


@pytest.mark.parametrize(("flags", "used"), [("avx512_bf16", True), ("amx_bf16", True), ("avx512f", False)])
def test_bfloat16_where_the_processor_has_it(machine, flags, used):
    (machine.root / "cpuinfo").write_text(f"flags : sse2 {flags} x\n")
    finish(machine())
    assert ("--precision=bfloat16" in calls(machine.log, "train")[0]) is used


def test_cuda_where_nvidia_smi_answers(machine):
    (machine.root / "cpuinfo").write_text("flags : avx512_bf16\n")
    finish(machine(GPU_CODE="9"))
    assert installed(machine.log) == ["--editable ."]
    assert "--precision" in calls(machine.log, "train")[0]
    finish(machine(GPU_CODE="0"))
    assert installed(machine.log) == ["--editable .", "--editable .[gpu]"]
    assert "--precision" not in calls(machine.log, "train")[1]


def test_what_is_installed_is_not_installed_again(machine):
    finish(machine())
    finish(machine())
    assert installed(machine.log) == ["--editable ."]
    with (machine.root / "requirements.txt").open("a") as file:
        file.write("another\n")
    finish(machine())
    assert installed(machine.log) == ["--editable ."] * 2


def test_both_scripts_share_one_environment(machine):
    """The second adds what it needs: a training of the first may be running from it."""
    for script in ("run_script.sh", "run_tests.sh", "run_script.sh", "run_tests.sh"):
        assert finish(machine(script=script))[0] == 0
    assert installed(machine.log) == ["--editable .", "--editable .[dev]"]
    assert machine.log.read_text().count("-m venv --clear") == 1
    finish(machine(VERSION=" 3"))
    assert machine.log.read_text().count("-m venv --clear") == 2


def test_an_environment_that_was_made_by_hand_is_taken_over(machine):
    for name in ("python", "shellcheck"):
        path = machine.root / ".venv" / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(machine.root / "commands" / "fake_python")
    assert finish(machine())[0] == 0
    assert "-m venv" not in machine.log.read_text()
    assert installed(machine.log) == ["--editable ."]


def test_a_failed_installation_is_told_and_tried_again(machine):
    code, out = finish(machine(PIP_CODE="1"))
    assert code == 2
    assert "installation failed" in out
    assert calls(machine.log, "train") == []
    assert finish(machine())[0] == 0
    assert installed(machine.log) == ["--editable ."] * 2


@pytest.mark.parametrize("code", [2, 3])
def test_the_trainings_code_is_handed_on_and_no_film_made(machine, code):
    found, out = finish(machine(STEPS=f"exit {code}"))
    assert found == code
    assert len(calls(machine.log, "train")) == 1
    assert calls(machine.log, "demo") == []
    assert f"code {code}" in out


@pytest.mark.parametrize("code", [0, 3])
def test_shutdown_only_when_asked_for_and_last(machine, code):
    found, out = finish(machine(SHUTDOWN="1", STEPS=f"exit {code}"))
    assert found == code
    assert machine.log.read_text().splitlines()[-1] == "shutdown -h now"
    told = "film and grids" if code == 0 else "ended with code 3"
    assert 0 <= out.index(told) < out.index("powering off")


def test_shutdown_of_an_ordinary_user(machine):
    assert finish(machine(SHUTDOWN="1", FAKE_ID="1000", STEPS="exit 3"))[0] == 3
    assert machine.log.read_text().splitlines()[-1] == "sudo -n shutdown -h now"


def test_a_shutdown_that_fails_keeps_the_trainings_code(machine):
    code, out = finish(machine(SHUTDOWN="1", SHUTDOWN_CODE="1", STEPS="exit 3"))
    assert code == 3
    assert "could not be powered off" in out


def test_an_old_python_is_told_in_one_line(machine):
    for environment in ({"OLD_PYTHON": "1"}, {"PYTHON": "no_such_python"}):
        for script in ("run_script.sh", "run_tests.sh"):
            code, out = finish(machine(script=script, **environment))
            assert code == 2
            assert "needs Python 3.11" in out
            assert out.count("\n") == 1


def test_a_python_without_ensurepip_is_told_in_one_line(machine):
    code, out = finish(machine(NO_ENSUREPIP="1"))
    assert code == 2
    assert "apt install python3-venv" in out
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "-m not slow and not extra"),
        (("--slow",), "-m not extra"),
        (("-k", "two words", "--slow", "-x"), "-m not extra -k two words -x"),
        (("tests/test_a.py", "-q"), "-m not slow and not extra tests/test_a.py -q"),
    ],
)
def test_the_tests_are_run_after_the_linters(machine, words, expected):
    code, out = finish(machine(*words, script="run_tests.sh"))
    assert code == 0, out
    log = machine.log.read_text().splitlines()
    assert log[-1] == f"-m pytest -n 2 --dist worksteal {expected}"
    assert log[-4] == "-m ruff check ."
    scripts = "./run_script.sh ./run_tests.sh scripts/power_off.sh scripts/slurm.sh scripts/venv.sh .ci/run"
    assert log[-2].endswith(scripts)


@pytest.mark.parametrize("code", [0, 1, 5])
def test_the_code_of_a_test_run_is_pytests(machine, code):
    assert finish(machine(script=".ci/run", PYTEST_CODE=str(code)))[0] == code


def test_what_needs_an_extra_is_tested_last(machine):
    assert finish(machine(script=".ci/run", APT_CODE="1"))[0] == 0  # without a browser too
    extras = [f"--editable .[{name}]" for name in ("serve", "browser", "cluster", "onnx")]
    assert installed(machine.log)[-4:] == extras
    assert machine.log.read_text().splitlines()[-1] == "-m pytest -q -rs -m extra"


def test_no_tests_where_a_linter_complains(machine):
    assert finish(machine(script="run_tests.sh", RUFF_CODE="1"))[0] == 1
    assert "pytest" not in machine.log.read_text().splitlines()[-1]
