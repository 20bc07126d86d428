"""Signals ask the command to stop; those of the next two seconds are the same one, a later one leaves."""

import subprocess
import sys

import pytest
from helpers import ROOT

PROGRAM = """
import os, signal, time
from srez.system.signals import Stop
now = [100.0]
time.monotonic = lambda: now[0]
stop = Stop().install()
stop.defer = {defer}
for number, later in ((signal.SIGTERM, 0), (signal.SIGINT, 1.9), (signal.SIGINT, {later})):
    now[0] += later
    os.kill(os.getpid(), number)
    while not stop.requested:
        time.sleep(0.01)
    time.sleep(0.4)
    print(stop.requested, flush=True)
"""


@pytest.mark.parametrize(
    ("defer", "later", "code", "out", "err"),
    [
        (True, 0.05, 0, "SIGTERM\n" * 3, ""),
        (True, 0.2, 75, "SIGTERM\n" * 2, "\nsrez: SIGINT, left at once\n"),
        (False, 0, 75, "", "\nsrez: SIGTERM, left at once\n"),
    ],
)
def test_signals_within_two_seconds_are_one(defer, later, code, out, err):
    program = PROGRAM.format(defer=defer, later=later)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)
