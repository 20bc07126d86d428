"""How far a study is and how long it will take."""

import pytest
from fake_study import a_run, tell

from srez.study import progress as progress_module
from srez.study.progress import Progress, minutes_text
from srez.study.store import StudyStore


def test_time_to_go(tmp_path, monkeypatch):
    store, now = StudyStore(str(tmp_path)), [1000.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    tell(store, "3-s0", 5, 9.0)  # in an earlier session
    progress = Progress(store, [a_run(i) for i in range(4)])
    assert progress.remaining() is None
    assert progress.share == pytest.approx(5 / 40)
    tell(store, "0-s0", 10, 5.0)
    progress.refresh()
    now[0] += 60
    assert progress.remaining() is None  # none is finished
    store.write_outcome("0-s0", {"exit": 0, "batches": 10, "minutes": 5.0, "message": ""})
    tell(store, "1-s0", 4, 6.0)
    progress.refresh()
    now[0] += 60 * 6  # 7 minutes for 14 batches
    assert progress.share == pytest.approx(19 / 40)
    assert progress.remaining() == pytest.approx(21 / 2)
    assert progress.remaining({"2-s0"}) == pytest.approx(11 / 2)


def test_a_training_that_diverged_is_whole(tmp_path):
    store = StudyStore(str(tmp_path))
    tell(store, "0-s0", 2, 1.0)
    store.write_outcome("0-s0", {"exit": 3, "batches": 2, "minutes": 1.0, "message": ""})
    progress = Progress(store, [a_run(0), a_run(1)])
    assert progress.share == 0.5
    assert progress.finished == {"0-s0"}


def test_the_last_figures_of_quality_are_shown(tmp_path):
    store = StudyStore(str(tmp_path))
    progress = Progress(store, [a_run(0)])
    assert progress.figures(a_run(0)) == "no figures"
    tell(store, "0-s0", 2, 1.0, lpips=0.3456, psnr=21.04, ssim=0.6789, swd=33.33)
    tell(store, "0-s0", 3, 1.5, generator_loss=0.1)
    assert progress.figures(a_run(0)) == "LPIPS 0.346, PSNR 21.0 dB, SSIM 0.679"


@pytest.mark.parametrize(("minutes", "text"), [(0.2, "1m"), (59.2, "60m"), (119, "119m"), (150, "2.5h")])
def test_times_for_people(minutes, text):
    assert minutes_text(minutes) == text
