"""How far a study is and how long it will take."""

import pytest
from fake_study import a_run, tell

from srez.study.progress import Progress, minutes_text
from srez.study.store import StudyStore


def test_time_to_go(tmp_path):
    store = StudyStore(str(tmp_path))
    runs = [a_run(i) for i in range(4)]
    progress = Progress(store, runs, jobs=1)
    assert progress.remaining() is None
    tell(store, "0-s0", 10, 5.0)  # half a minute a batch
    store.write_outcome("0-s0", {"exit": 0, "batches": 10, "minutes": 5.0, "message": ""})
    tell(store, "1-s0", 4, 6.0)  # a minute and a half a batch
    progress.refresh(["1-s0"])
    assert progress.share == pytest.approx(14 / 40)
    assert progress.remaining() == pytest.approx(6 * 1.5 + 2 * 10 * 1.0)
    assert progress.remaining({"3-s0"}) == pytest.approx(6 * 1.5 + 10 * 1.0)
    progress.overheads = [0.5, 1.5]  # of the two that are to be started
    assert progress.remaining() == pytest.approx(6 * 1.5 + 2 * 10 * 1.0 + 2 * 1.0)
    progress.jobs = 8
    assert progress.remaining() == pytest.approx((6 * 1.5 + 2 * 10 * 1.0 + 2 * 1.0) / 3)


def test_a_training_that_diverged_is_whole(tmp_path):
    store = StudyStore(str(tmp_path))
    progress = Progress(store, [a_run(0), a_run(1)], jobs=1)
    tell(store, "0-s0", 2, 1.0)
    store.write_outcome("0-s0", {"exit": 3, "batches": 2, "minutes": 1.0, "message": ""})
    progress.refresh(())
    assert progress.share == 0.5
    assert progress.finished == {"0-s0"}


def test_the_last_figures_of_quality_are_shown(tmp_path):
    store = StudyStore(str(tmp_path))
    progress = Progress(store, [a_run(0)], jobs=1)
    assert progress.figures(a_run(0)) == "no figures"
    tell(store, "0-s0", 2, 1.0, lpips=0.3456, psnr=21.04, ssim=0.6789, swd=33.33)
    tell(store, "0-s0", 3, 1.5, generator_loss=0.1)
    assert progress.figures(a_run(0)) == "LPIPS 0.346, PSNR 21.0 dB, SSIM 0.679"


@pytest.mark.parametrize(
    ("minutes", "text"), [(None, "?"), (0.2, "1m"), (59.2, "60m"), (119, "119m"), (150, "2.5h")]
)
def test_times_for_people(minutes, text):
    assert minutes_text(minutes) == text
