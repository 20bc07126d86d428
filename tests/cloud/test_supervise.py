"""run_script.sh on a rented machine: logout, crashes, SYNC and FETCH, power-off, notices of preemption.

The trainings are made up (STEPS in fake_machine.py), the metadata servers are the tests' own.
"""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fake_machine import build_machine, calls, finish, kill_all_in, processes
from helpers import ROOT, wait_for

from srez.cloud import preemption, supervise
from srez.cloud.processes import Child, Log, Runner
from srez.options.config import Config, to_dict
from srez.system.signals import SIGNALS

SYNCED = "echo sync $(sed -n s/.*path://p $CHECKPOINT_DIR/checkpoint) >>calls.txt"


@pytest.fixture
def rented(tmp_path, spawn):
    yield build_machine(tmp_path, spawn)
    kill_all_in(tmp_path)


def lines(rented, *starts: str) -> list[str]:
    """What the fake commands noted, in order, if it starts so."""
    text = rented.log.read_text() if rented.log.exists() else ""
    return [line for line in text.splitlines() if line.startswith(starts)]


def training(rented) -> bool:
    return bool(lines(rented, "ready"))


# ---- settings --------------------------------------------------------------------------------------

WRONG = {
    "RUNNUM": "one",
    "TIME": "an hour",
    "SPERIOD": "0",
    "L1FAC": "much",
    "NOISE": "-",
    "RETRIES": "many",
    "RETRY_WAIT": "-1",
    "SYNC_LIMIT": "1h",
    "PREEMPTION": "google",
    "METADATA_URL": "metadata",
    "METADATA_PERIOD": "often",
    "SHUTDOWN": "yes",
    "SHUTDOWN_WAIT": "a minute",
    "LOG": "/no/such/folder/log",
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_setting_is_refused_at_once(rented, name):
    """In one line, before anything is installed; a slip of the keyboard powers nothing off."""
    code, out = finish(rented(**{"SHUTDOWN": "1", name: WRONG[name]}))
    assert code == 2
    assert out.startswith(f"srez: {name}='{WRONG[name]}'")
    assert out.count("\n") == 1
    assert not rented.log.exists()


def test_options_that_the_number_of_the_run_settles_are_refused(rented):
    for option in ("--checkpoint_dir=mine", "--train_dir", "-summary_dir=x", "--run=demo", "--name=a"):
        code, out = finish(rented(option))
        assert code == 2
        assert f"{option}: set RUNNUM instead" in out
    assert finish(rented("--run_nothing=1", "--checkpoint_keep=3"))[0] == 0


def test_help_names_every_setting(rented):
    code, out = finish(rented("--help"))
    assert code == 0
    text = (ROOT / "run_script.sh").read_text()
    settings = re.findall(r'^([A-Z0-9_]+)="\$\{\1:?-', text, re.MULTILINE)
    assert len(settings) == 19
    assert re.findall(r"^  ([A-Z0-9_]+)=", out, re.MULTILINE) == settings
    assert "SHUTDOWN_WAIT=60" in out
    assert not rented.log.exists()


def test_the_settings_reach_the_supervisor(monkeypatch):
    kinds = {str: "7", int: "3", float: "0.5"}
    for name, kind in supervise.Settings.__annotations__.items():
        monkeypatch.setenv(name.upper(), kinds[kind])
    settings = supervise.Settings.from_environment()
    assert (settings.runnum, settings.retries, settings.retry_wait) == ("7", 3, 0.5)
    assert list(settings.folders.values()) == ["checkpoint_7", "train_7", "summary_7"]
    assert [settings.wait(n) for n in (1, 2, 3, 4)] == [0.5, 1, 2, 4]
    assert settings.wait(60) == 3600


# ---- the log, and logout ---------------------------------------------------------------------------


def test_all_output_is_on_the_screen_and_added_to_the_log(rented):
    _, first = finish(rented(STEPS="print hello, exit 0"))
    log = rented.root / "run_1.log"
    assert log.read_text() == first
    assert "hello" in first
    assert "film and grids" in first
    _, second = finish(rented(STEPS="print again, exit 0"))
    assert log.read_text() == first + second
    _, third = finish(rented(LOG="other.log", RUNNUM="2", STEPS="print third, exit 0"))
    assert (rented.root / "other.log").read_text() == third
    assert not (rented.root / "run_2.log").exists()


def test_a_screen_that_is_the_log_is_not_copied_to_itself(rented):
    with (rented.root / "run_1.log").open("a") as log:
        process = rented(STEPS="print hello, exit 0", before=["bash", "-c", f'exec "$@" >>{log.name}', "-"])
        assert finish(process) == (0, "")
    text = Path(log.name).read_text()
    assert text.count("hello") == 1
    assert len(text) < 10_000


def on_a_terminal(rented, *before: str, **environment: str) -> tuple[subprocess.Popen, int]:
    """run_script.sh on a terminal of its own, and the terminal's other end: closing it hangs up."""
    ours, theirs = pty.openpty()
    take = f'exec <{os.ttyname(theirs)} >&0 2>&0; exec "$@"'  # the first that a session opens is its terminal
    process = rented(before=[*before, "bash", "-c", take, "-"], **environment)
    wait_for(lambda: training(rented))
    os.close(theirs)
    return process, ours


def test_a_terminal_that_hangs_up_ends_the_training_well(rented):
    process, terminal = on_a_terminal(rented, STEPS="sleep 20, exit 0")
    os.close(terminal)
    assert process.wait(timeout=20) == 75
    assert lines(rented, "SIGTERM", "ends") == ["SIGTERM"]
    log = (rented.root / "run_1.log").read_text()
    assert "SIGHUP: stopping" in log
    assert "training ended with code 75" in log


def test_with_nohup_the_training_outlives_its_terminal(rented):
    process, terminal = on_a_terminal(rented, "nohup", STEPS="sleep 1, print later, exit 0")
    os.close(terminal)
    assert process.wait(timeout=20) == 0
    assert lines(rented, "SIGTERM", "ends") == ["ends"]
    log = (rented.root / "run_1.log").read_text()
    assert "later" in log
    assert "film and grids" in log


# ---- signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_is_passed_on_once_and_is_final(rented, number):
    process = rented(STEPS="sleep 20, exit 0")
    wait_for(lambda: training(rented))
    sent = time.monotonic()
    process.send_signal(number)
    code, out = finish(process)
    assert code == 75
    assert 0.4 < time.monotonic() - sent < 10  # the training took its time to save
    assert f"{number.name}: stopping" in out
    assert lines(rented, "SIGTERM", "ends") == ["SIGTERM"]
    assert len(calls(rented.log, "train")) == 1
    assert calls(rented.log, "demo") == []


def test_signals_to_the_whole_group_reach_the_training_once(rented):
    """Ctrl-C, and a session that ends: SIGTERM and SIGHUP to every process."""
    process = rented(STEPS="sleep 20, exit 0")
    wait_for(lambda: training(rented))
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        os.killpg(process.pid, number)
        time.sleep(0.05)
    code, out = finish(process)
    assert code == 75
    assert lines(rented, "SIGTERM", "ends") == ["SIGTERM"]
    assert out.count("stopping") == 1


@pytest.mark.parametrize(("grace", "code"), [(supervise.TRAINING_ENVIRONMENT["SREZ_GRACE"], 0), ("0", 75)])
def test_the_training_heeds_its_first_signal_alone(grace, code):
    """A notice, then the shutdown's own SIGTERM: the second must not cut the saving short."""
    program = (
        "import os, signal, time; from srez.system.signals import Stop\n"
        "stop = Stop().install(); stop.defer = True\n"
        "for _ in range(2): os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.2)\n"
        "print(stop.requested)"
    )
    environment = os.environ | {"SREZ_GRACE": grace}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode == code
    assert (done.stdout == b"SIGTERM\n") is (code == 0)


@pytest.fixture
def own_signals():
    """What the tests do about signals, again when the test is over."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_between_two_commands_is_not_lost(tmp_path, own_signals):
    log = Log(str(tmp_path / "log"))
    started, runner = time.monotonic(), Runner(log, None)
    os.kill(os.getpid(), signal.SIGTERM)
    assert runner.stop == "SIGTERM"
    assert runner.run(lambda: Child(["sleep", "20"], os.environ, log)) == 128 + signal.SIGTERM
    runner.pause(20)
    assert runner.told
    assert time.monotonic() - started < 10
    assert runner.run(lambda: Child(["true"], os.environ, log), last=True) == 0
    runner.pause(0.05, last=True)
    assert not runner.told
    log.close()


def test_a_command_that_cannot_be_started_is_a_failed_one(tmp_path):
    log = Log(str(tmp_path / "log"))
    assert Child(["/no/such/program"], {}, log).poll() == 126
    assert "/no/such/program could not be started" in (tmp_path / "log").read_text()
    log.close()


def test_a_second_ctrl_c_leaves_at_once(rented):
    process = rented(STEPS="sleep 20, exit 0", SAVE_SECONDS="15")
    wait_for(lambda: training(rented))
    process.send_signal(signal.SIGINT)
    wait_for(lambda: lines(rented, "SIGTERM"))
    process.send_signal(signal.SIGINT)
    code, _ = finish(process)
    assert code == 75
    assert not (rented.root / "checkpoint_1").exists()  # it had no time to save


def test_the_script_killed_leaves_the_training_alone_and_nothing_that_watches(rented):
    environment = {"PREEMPTION": "aws", "METADATA_URL": "http://127.0.0.1:9", "METADATA_PERIOD": "0.1"}
    process = rented(STEPS="save 5, sleep 3, exit 0", SYNC=SYNCED, **environment)
    wait_for(lambda: lines(rented, "sync"))
    process.kill()
    process.wait(timeout=5)
    wait_for(lambda: len(processes(rented.root)) == 1)
    (left,) = processes(rented.root).values()
    assert "--run=train" in left
    code, out = finish(rented(SHUTDOWN="1"))
    assert code == 2
    assert "run 1 is going on already" in out
    assert lines(rented, "shutdown") == []
    wait_for(lambda: processes(rented.root) == {})
    assert lines(rented, "ends") == ["ends"]
    assert finish(rented())[0] == 0


# ---- crashes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crash", "code"), [("exit 1", 1), ("kill 9", 137), ("kill 6", 134), ("kill 11", 139), ("exit 75", 75)]
)
def test_a_crash_is_tried_again(rented, crash, code):
    """So is a 75 that nobody asked this script for: what ends processes for want of memory sends SIGTERM."""
    found, out = finish(rented("--noresume", STEPS=f"{crash}; {crash}; exit 0", RETRY_WAIT="0.02"))
    assert found == 0
    first, second, third = calls(rented.log, "train")
    assert first.endswith("--noresume")
    assert second.endswith("--noresume --resume")  # the last one counts
    assert third.endswith("--resume")
    assert f"code {code}" in out
    assert "in 0.02 s it goes on from its last checkpoint (1 of 5)" in out
    assert "in 0.04 s it goes on from its last checkpoint (2 of 5)" in out
    assert len(calls(rented.log, "demo")) == 1


@pytest.mark.parametrize("retries", [0, 2])
def test_given_up_after_so_many_tries(rented, retries):
    code, out = finish(rented(STEPS="save 5, kill 9; kill 9", RETRIES=str(retries), SHUTDOWN="1"))
    assert code == 137
    assert len(calls(rented.log, "train")) == 1 + retries
    assert f"given up after {retries} tries more" in out
    assert lines(rented, "shutdown") == ["shutdown -h now"]
    assert calls(rented.log, "demo") == []


def test_a_new_checkpoint_sets_the_count_back(rented):
    steps = "save 5, exit 1; save 6, exit 1; save 7, exit 1; exit 1; exit 1"
    code, _ = finish(rented(STEPS=steps, RETRIES="1"))
    assert code == 1
    assert len(calls(rented.log, "train")) == 4  # three that got on, the one try more


def test_a_signal_ends_the_wait_for_the_next_try(rented):
    process = rented(STEPS="exit 1", RETRY_WAIT="60")
    for line in process.stdout:
        if "goes on from its last checkpoint" in line:
            break
    process.send_signal(signal.SIGTERM)
    code, _ = finish(process)
    assert code == 75
    assert len(calls(rented.log, "train")) == 1


# ---- SYNC ------------------------------------------------------------------------------------------


def test_sync_after_every_checkpoint_and_at_the_end(rented):
    names = 'echo "names $RUNNUM $CHECKPOINT_DIR $TRAIN_DIR $SUMMARY_DIR: $RUN_DIRS" >>calls.txt'
    steps = "save 5, syncs 1, save 10, syncs 2, exit 0"
    assert finish(rented(STEPS=steps, SYNC=f"{SYNCED}; {names}", RUNNUM="3"))[0] == 0
    assert lines(rented, "sync", "ends") == ['sync "srez-5"', 'sync "srez-10"', "ends", 'sync "srez-10"']
    expected = "names 3 checkpoint_3 train_3 summary_3: checkpoint_3 train_3 summary_3"
    assert lines(rented, "names") == [expected] * 3
    order = lines(rented, "srez_main.py --run=demo", "sync")
    assert "demo" in order[-2]  # the film is safe too


def test_a_resumed_run_is_not_synced_before_it_has_something_new(rented):
    finish(rented(STEPS="save 5, exit 0"))
    assert finish(rented(STEPS="sleep 0.5, exit 0", SYNC=SYNCED))[0] == 0
    assert lines(rented, "sync", "ends") == ["ends", "ends", 'sync "srez-5"']


def test_never_two_syncs_at_once(rented):
    sync = "mkdir busy || echo double >>calls.txt; sleep 0.5; rmdir busy; " + SYNCED
    steps = "save 5, sleep 0.2, save 6, sleep 0.2, save 7, sleep 0.2, save 8, exit 0"
    assert finish(rented(STEPS=steps, SYNC=sync))[0] == 0
    assert lines(rented, "double") == []
    assert 2 <= len(lines(rented, "sync")) <= 4
    assert lines(rented, "sync")[-1] == 'sync "srez-8"'


def test_a_sync_that_fails_is_said_and_tried_at_the_next_checkpoint(rented):
    sync = "echo sync >>calls.txt; [ $(grep -c ^sync calls.txt) != 1 ] || exit 4"
    code, out = finish(rented(STEPS="save 5, syncs 1, sleep 1, save 6, syncs 2, exit 0", SYNC=sync))
    assert code == 0
    assert "SYNC failed with code 4; the next try follows the next checkpoint" in out
    assert lines(rented, "sync", "ends") == ["sync", "sync", "ends", "sync"]


def test_power_off_waits_for_a_sync_that_succeeds(rented):
    sync = "echo sync >>calls.txt; [ $(grep -c ^sync calls.txt) = 3 ]"
    rented.root.joinpath("checkpoint_1").mkdir()
    code, out = finish(rented(SYNC=sync, SHUTDOWN="1", RETRY_WAIT="0.02"))
    assert code == 0
    assert lines(rented, "sync", "shutdown") == ["sync"] * 3 + ["shutdown -h now"]
    assert "SYNC failed with code 1; again in 0.02 s" in out
    assert "SYNC failed with code 1; again in 0.04 s" in out


@pytest.mark.parametrize(("step", "code"), [("exit 0", 2), ("exit 3", 3)])
def test_no_power_off_where_the_results_are_not_safe(rented, step, code):
    found, out = finish(rented(STEPS=f"save 5, {step}", SYNC="exit 9", SHUTDOWN="1", RETRIES="2"))
    assert found == code
    assert lines(rented, "shutdown") == []
    folders = f"checkpoint_1 train_1 summary_1 in {rented.root}"
    assert f"THE RESULTS ARE ON THIS MACHINE ALONE ({folders})" in out
    assert "the results are not safe: the machine stays on" in out


def test_a_sync_that_hangs_is_ended(rented):
    sync = "echo sync >>calls.txt; [ $(grep -c ^sync calls.txt) != 1 ] || sleep 60"
    started = time.monotonic()
    code, out = finish(
        rented(STEPS="save 5, syncs 1, sleep 2, exit 0", SYNC=sync, SYNC_LIMIT="0.5", SHUTDOWN="1")
    )
    assert code == 0
    assert time.monotonic() - started < 15
    assert "SYNC failed with code 143" in out
    assert lines(rented, "shutdown") == ["shutdown -h now"]


def test_ctrl_c_gives_up_the_last_sync_and_the_power_off(rented):
    sync = "echo sync >>calls.txt; [ $(grep -c ^sync calls.txt) = 1 ] || sleep 30"
    process = rented(STEPS="save 5, syncs 1, exit 0", SYNC=sync, SHUTDOWN="1")
    wait_for(lambda: len(lines(rented, "sync")) == 2)
    process.send_signal(signal.SIGINT)
    code, out = finish(process)
    assert code == 2
    assert "THE RESULTS ARE ON THIS MACHINE ALONE" in out
    assert len(lines(rented, "sync")) == 2
    assert lines(rented, "shutdown") == []


def test_other_signals_wait_for_the_last_sync(rented):
    sync = "echo sync begins >>calls.txt; sleep 0.5; echo sync ends >>calls.txt"
    process = rented(STEPS="save 5, syncs 2, exit 0", SYNC=sync, SHUTDOWN="1")
    wait_for(lambda: len(lines(rented, "sync begins")) == 2)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 0
    assert lines(rented, "sync", "shutdown")[-2:] == ["sync ends", "shutdown -h now"]


def test_nothing_to_sync_where_the_training_left_nothing(rented):
    code, _ = finish(rented(STEPS="exit 2", SYNC=SYNCED, SHUTDOWN="1"))
    assert code == 2
    assert lines(rented, "sync", "shutdown") == ["shutdown -h now"]


# ---- FETCH -----------------------------------------------------------------------------------------


def put_checkpoint(folder: Path, precision: str) -> None:
    folder.mkdir()
    (folder / "srez-7.index").touch()
    (folder / "checkpoint").write_text('model_checkpoint_path: "srez-7"\n')
    described = {
        "options": to_dict(Config(precision=precision)),
        "dataset": {"fingerprint": "", "pictures": 9},
    }
    (folder / "config.json").write_text(json.dumps(described))


def test_a_new_machine_fetches_the_run_and_keeps_its_precision(rented):
    """Another processor than the one on which the run began must not need anybody's decision."""
    put_checkpoint(rented.root / "safe", "float32")
    (rented.root / "cpuinfo").write_text("flags : avx512_bf16\n")
    fetch = "echo fetch >>calls.txt; cp -r safe $CHECKPOINT_DIR"
    assert finish(rented(FETCH=fetch, SYNC=SYNCED))[0] == 0
    (train,) = calls(rented.log, "train")
    assert "--precision=float32" in train
    assert "bfloat16" not in train
    assert lines(rented, "fetch", "ends", "sync") == ["fetch", "ends", 'sync "srez-7"']
    assert finish(rented(FETCH=fetch))[0] == 0
    assert len(lines(rented, "fetch")) == 1  # what is here is newer


def test_nothing_is_trained_where_fetch_fails(rented):
    """SYNC would put a training from the start in the place of the one that could not be fetched."""
    fetch = "mkdir -p $CHECKPOINT_DIR; touch $CHECKPOINT_DIR/srez-3.index; echo fetch >>calls.txt; exit 5"
    code, out = finish(rented(FETCH=fetch, SYNC=SYNCED, RETRIES="1", SHUTDOWN="1"))
    assert code == 2
    assert "FETCH failed with code 5" in out
    assert "mend FETCH" in out
    assert calls(rented.log, "train") == []
    assert lines(rented, "fetch", "sync", "shutdown") == ["fetch", "fetch", "shutdown -h now"]
    code, _ = finish(rented(FETCH="echo fetch >>calls.txt", SYNC=SYNCED))  # the half of it does not count
    assert code == 0
    assert len(lines(rented, "fetch")) == 3


def test_a_fetch_that_failed_is_forgotten_once_something_was_trained_without_it(rented):
    assert finish(rented(FETCH="exit 5", RETRIES="0"))[0] == 2
    assert finish(rented())[0] == 0
    put_checkpoint(rented.root / "checkpoint_1", "float32")
    assert finish(rented(FETCH="echo fetch >>calls.txt"))[0] == 0
    assert lines(rented, "fetch") == []


def test_a_place_with_nothing_in_it_is_a_fresh_start(rented):
    assert finish(rented(FETCH="true"))[0] == 0
    assert len(calls(rented.log, "train")) == 1


# ---- power-off -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "off"), [(signal.SIGTERM, True), (signal.SIGHUP, True), (signal.SIGINT, False)]
)
def test_ctrl_c_leaves_the_machine_on(rented, number, off):
    process = rented(STEPS="sleep 20, exit 0", SHUTDOWN="1")
    wait_for(lambda: training(rented))
    process.send_signal(number)
    code, out = finish(process)
    assert code == 75
    assert lines(rented, "shutdown") == (["shutdown -h now"] if off else [])
    assert ("somebody is at the keyboard: the machine stays on" in out) is not off


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_second_thought(rented, number):
    process = rented(SHUTDOWN="1", SHUTDOWN_WAIT="60")
    for line in process.stdout:
        if "powering off in 60 seconds" in line:
            break
    process.send_signal(number)
    code, out = finish(process)
    assert code == 0
    assert "the machine stays on" in out
    assert lines(rented, "shutdown") == []


def test_another_way_to_end_the_costs(rented):
    assert finish(rented(SHUTDOWN="1", POWER_OFF='echo "deallocate $RUNNUM" >>calls.txt'))[0] == 0
    assert lines(rented, "shutdown", "deallocate") == ["deallocate 1"]


def test_an_installation_that_fails_powers_off_too(rented):
    code, out = finish(rented(SHUTDOWN="1", PIP_CODE="1"))
    assert code == 2
    assert lines(rented, "shutdown") == ["shutdown -h now"]
    assert "installation failed" in (rented.root / "run_1.log").read_text()
    assert "installation failed" in out


def test_a_start_that_fails_leaves_the_machine_to_others(rented):
    other = rented(STEPS="sleep 2.5, exit 0", RUNNUM="2")
    wait_for(lambda: training(rented))
    code, out = finish(rented(SHUTDOWN="1", PYTHON="/nowhere/python3"))
    assert code == 2
    assert "a run goes on here: the machine stays on" in out
    assert lines(rented, "shutdown") == []
    finish(other)


def test_the_last_of_several_runs_powers_off(rented):
    other = rented(STEPS="sleep 2.5, exit 0", RUNNUM="2", SHUTDOWN="1")
    wait_for(lambda: training(rented))
    _, out = finish(rented(SHUTDOWN="1"))
    assert "another run is going on here: the machine stays on" in out
    assert lines(rented, "shutdown") == []
    finish(other)
    assert lines(rented, "shutdown") == ["shutdown -h now"]


# ---- notices of preemption -------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """A metadata server: answers[(method, path)] is (status, text) or a function of the headers."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = {}, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        answer = self.server.answers.get((self.command, self.path), (404, "not here"))
        status, text = answer(self.headers) if callable(answer) else answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    do_PUT = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as found:
        yield found
        found.shutdown()


GCP = ("GET", "/computeMetadata/v1/instance/preempted")
AWS_TOKEN, AWS = ("PUT", "/latest/api/token"), ("GET", "/latest/meta-data/spot/instance-action")
AZURE = ("GET", "/metadata/scheduledevents?api-version=2020-07-01")
AZURE_NAME = ("GET", "/metadata/instance/compute/name?api-version=2021-02-01&format=text")
AWS_NOTICE = '{"action": "terminate", "time": "2030-01-01T00:00:00Z"}'


def google(server, preempted: bool) -> None:
    text = "TRUE" if preempted else "FALSE"
    server.answers[GCP] = lambda h: (200, text) if h["Metadata-Flavor"] == "Google" else (403, "")


def amazon(server, preempted: bool, token: str = "first") -> None:
    def give_token(headers):
        return (
            (200, token) if 1 <= int(headers["X-aws-ec2-metadata-token-ttl-seconds"]) <= 21600 else (400, "")
        )

    def action(headers):
        if headers["X-aws-ec2-metadata-token"] != token:
            return 401, ""
        return (200, AWS_NOTICE) if preempted else (404, "")

    server.answers |= {AWS_TOKEN: give_token, AWS: action}


def event(kind: str, *machines: str) -> dict:
    return {"EventId": "1", "EventType": kind, "Resources": list(machines), "NotBefore": "soon"}


def azure(server, preempted: bool, *others: dict) -> None:
    events = [*others, *([event("Preempt", "node_1", "Node_0")] if preempted else [])]
    text = json.dumps({"DocumentIncarnation": 2, "Events": events})
    needs_header = {AZURE: (200, text), AZURE_NAME: (200, "node_0")}
    for key, answer in needs_header.items():
        server.answers[key] = lambda h, answer=answer: answer if h["Metadata"] == "true" else (400, "")


CLOUDS = {"gcp": google, "aws": amazon, "azure": azure}


def ask(cloud: str, server) -> str:
    return preemption.CLOUDS[cloud]().notice(preemption.asker(server.url, 5))


def test_every_cloud_has_a_server_here():
    assert CLOUDS.keys() == preemption.CLOUDS.keys()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_notice_and_none(server, cloud):
    CLOUDS[cloud](server, False)
    assert ask(cloud, server) == ""
    CLOUDS[cloud](server, True)
    texts = {"gcp": "preempted", "aws": AWS_NOTICE, "azure": "Preempt soon"}
    assert ask(cloud, server) == texts[cloud]


def test_a_token_of_aws_is_used_until_it_is_too_old(server):
    source, asker = preemption.Amazon(), preemption.asker(server.url, 5)
    amazon(server, False, "first")
    assert [source.notice(asker), source.notice(asker)] == ["", ""]
    assert server.asked.count(AWS_TOKEN) == 1
    amazon(server, True, "second")
    assert source.notice(asker) == AWS_NOTICE
    assert server.asked.count(AWS_TOKEN) == 2


@pytest.mark.parametrize(
    ("events", "notice"),
    [
        ([event("Freeze", "node_0"), event("Reboot", "node_0"), event("Redeploy", "node_0")], ""),
        ([event("Preempt", "node_1")], ""),
        ([event("Terminate", "node_0")], "Terminate soon"),
        ([event("Preempt", "node_1"), event("Preempt", "NODE_0")], "Preempt soon"),
        ([event("Preempt")], "Preempt soon"),
    ],
)
def test_which_events_of_azure_are_notices(server, events, notice):
    azure(server, False, *events)
    assert ask("azure", server) == notice


def test_a_machine_of_azure_without_a_name_takes_every_notice_for_its_own(server):
    azure(server, False, event("Preempt", "node_1"))
    del server.answers[AZURE_NAME]
    assert ask("azure", server) == "Preempt soon"


def watch(cloud: str, base: str) -> tuple[preemption.Watcher, list[str]]:
    said = []
    watcher = preemption.Watcher(cloud, base, 0.02, said.append)
    watcher.start()
    return watcher, said


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_server_that_answers_nonsense_is_told_once_and_asked_on(server, cloud):
    for key in (GCP, AWS_TOKEN, AWS, AZURE):
        server.answers[key] = 500, "no"
    watcher, said = watch(cloud, server.url)
    wait_for(lambda: len(server.asked) > 5)
    server.answers[AZURE] = 200, "[]"
    wait_for(lambda: len(server.asked) > 10)
    assert watcher.is_alive()
    CLOUDS[cloud](server, True)
    wait_for(lambda: watcher.notice)
    assert len(said) == 1
    assert f"PREEMPTION={cloud}: no answer from {server.url}" in said[0]


def test_no_proxy_is_asked(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    google(server, True)
    assert ask("gcp", server) == "preempted"


def test_asking_by_hand(server):
    google(server, True)
    for environment, code, text in (
        ({"PREEMPTION": "gcp", "METADATA_URL": server.url}, 0, "gcp: preempted"),
        ({"PREEMPTION": "gcp", "METADATA_URL": "http://127.0.0.1:9"}, 1, "gcp: no answer from"),
        ({"PREEMPTION": "ibm"}, 2, "PREEMPTION='ibm': must be one of gcp, aws, azure"),
    ):
        command = [sys.executable, "-m", "srez.cloud.preemption"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert text in done.stdout + done.stderr
        assert (done.stdout + done.stderr).count("\n") == 1


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_notice_saves_syncs_and_is_final(rented, server, cloud):
    CLOUDS[cloud](server, False)
    settings = {"PREEMPTION": cloud, "METADATA_URL": server.url, "METADATA_PERIOD": "0.05"}
    process = rented(STEPS="save 5, sleep 20, exit 0", SYNC=SYNCED, SHUTDOWN="1", **settings)
    wait_for(lambda: lines(rented, "sync"))
    CLOUDS[cloud](server, True)
    code, out = finish(process)
    assert code == 75
    expected = ['sync "srez-5"', "SIGTERM", 'sync "srez-75"', "shutdown -h now"]
    assert lines(rented, "sync", "SIGTERM", "ends", "shutdown") == expected
    assert len(calls(rented.log, "train")) == 1
    assert "notice of preemption" in out


def test_after_a_notice_the_cloud_has_time_to_end_the_machine_itself(rented, server):
    google(server, True)
    settings = {"PREEMPTION": "gcp", "METADATA_URL": server.url, "SHUTDOWN_WAIT": "0.1"}
    _, out = finish(rented(STEPS="sleep 20, exit 0", SHUTDOWN="1", **settings))
    assert "powering off in 0.5 seconds" in out


def test_nobody_is_asked_unless_a_cloud_is_named(rented, server):
    google(server, True)
    settings = {"METADATA_URL": server.url, "METADATA_PERIOD": "0.05"}
    code, out = finish(rented(STEPS="sleep 0.5, exit 0", **settings))
    assert code == 0, out
    assert server.asked == []
    assert lines(rented, "SIGTERM", "ends") == ["ends"]


def test_without_a_server_the_training_goes_on(rented):
    settings = {"PREEMPTION": "aws", "METADATA_URL": "http://127.0.0.1:9", "METADATA_PERIOD": "0.05"}
    code, out = finish(rented(STEPS="sleep 1, exit 0", **settings))
    assert code == 0
    assert out.count("no answer from http://127.0.0.1:9") == 1


# ---- with a true training --------------------------------------------------------------------------


@pytest.mark.slow
def test_a_preempted_training_goes_on_elsewhere_by_the_same_command(rented, spawn, tmp_path, server):
    """Two machines with an empty disk each, a safe place, and the same command on both."""
    settings = {
        "PREEMPTION": "gcp",
        "METADATA_URL": server.url,
        "METADATA_PERIOD": "0.2",
        "SYNC": f"cp -r $RUN_DIRS {tmp_path}/safe",
        "FETCH": f"cp -r {tmp_path}/safe/. .",
    }
    options = ["--gen_architect=deconv", "--width=0.03125", "--batch_size=4", "--test_vectors=10"]
    options += ["--max_batches=300", "--checkpoint_period=50", "--summary_period=100", "--nodeterministic"]
    (tmp_path / "safe").mkdir()

    def start_on(name: str):
        (tmp_path / name).mkdir()
        start = build_machine(tmp_path / name, spawn)
        folder = tmp_path / name / ".venv"
        (folder / "bin").mkdir(parents=True)
        python = folder / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        (folder / "made_by").write_text("Python of the tests\n")
        wanted = [(ROOT / name).read_text() for name in ("requirements.txt", "pyproject.toml")]
        (folder / "installed_srez").write_text("".join(wanted))
        return start(*options, **settings)

    google(server, False)
    first = start_on("first")
    wait_for(lambda: (tmp_path / "safe" / "checkpoint_1" / "srez-50.index").exists(), 120)
    google(server, True)
    code, out = finish(first)
    assert code == 75, out
    saved = int(re.search(r"SIGTERM: stopped after batch (\d+), saved", out)[1])
    google(server, False)
    code, out = finish(start_on("second"))
    assert code == 0, out
    assert 50 <= saved < 300
    assert f"continuing after batch {saved} " in out
    assert "done: --max_batches=300 reached at batch 300" in out
    metrics = (tmp_path / "safe" / "checkpoint_1" / "metrics.jsonl").read_text().splitlines()
    batches = [json.loads(line)["batch"] for line in metrics]
    assert batches == sorted(set(batches))
    assert batches[-1] == 300
    assert (tmp_path / "safe" / "train_1" / "demo1.mp4").exists()
