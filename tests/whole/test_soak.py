"""bench/soak.py tells a leak from none, on numbers that are known and on a real process."""

import json
import runpy
import subprocess
import sys

import pytest
from helpers import ROOT

SOAK = runpy.run_path(str(ROOT / "bench" / "soak.py"))
trend, after_warm_up = SOAK["trend"], SOAK["after_warm_up"]

HOUR = [float(second) for second in range(3600)]


def test_a_line_is_found_again():
    found = trend(HOUR, [1000 + 36 * second / 3600 for second in HOUR])
    assert found.per_hour == pytest.approx(36)
    assert found.rise == pytest.approx(36, rel=1e-3)
    assert (found.first, found.last) == pytest.approx((1001.8, 1034.2), abs=0.1)
    assert found.mean == pytest.approx(1018, abs=0.1)


@pytest.mark.parametrize(
    ("added", "flat"),
    [
        (lambda share: 29 * share, True),
        (lambda share: 32 * share, False),
        (lambda share: -200 * share, True),  # it gives memory back
        (lambda share: 60.0 * (share > 0.85), False),  # a step near the end
        (lambda share: 300.0 * (0.4 < share < 0.5), True),  # a peak that goes away
    ],
)
def test_three_percent(added, flat):
    assert trend(HOUR, [1000 + added(second / 3600) for second in HOUR]).flat is flat


def test_the_warm_up_does_not_count():
    seen = [(float(second), 0.0, 0, 0) for second in range(0, 7200, 60)]
    assert after_warm_up(seen)[0][0] == 600
    assert after_warm_up(seen[:21])[0][0] == 300


@pytest.mark.slow
def test_a_short_soak(tmp_path):
    command = [sys.executable, str(ROOT / "bench" / "soak.py"), "--minutes=1", "--every=0.5"]
    command += ["--width=0.03125", f"--json={tmp_path / 'soak.json'}", f"--plot={tmp_path / 'soak.png'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert "looks in" in done.stdout, done.stderr
    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["figures"]["open files"]["flat"]
    assert found["figures"]["threads"]["mean"] > 1
    assert (tmp_path / "soak.png").stat().st_size > 1000
