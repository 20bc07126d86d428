"""A study's folder: the last figures and outcomes, whatever was being written when it was cut off."""

from pathlib import Path

from fake_study import a_run, tell

from srez.study.store import StudyStore


def test_the_last_line_is_the_last_whole_one(tmp_path):
    store = StudyStore(str(tmp_path))
    assert store.last_metrics("0-s0") == {}
    for batch in range(1, 3000):
        tell(store, "0-s0", batch, batch / 10, swd=1 / 3)
    assert store.last_metrics("0-s0") == {"batch": 2999, "minutes": 299.9, "swd": 1 / 3}
    with open(store.run("0-s0", "checkpoint", "metrics.jsonl"), "a") as file:
        file.write('{"batch": 3000, "minu')
    assert store.last_metrics("0-s0")["batch"] == 2999


def test_damaged_figures_and_outcomes_count_as_none(tmp_path):
    store = StudyStore(str(tmp_path))
    tell(store, "0-s0", 7, 1.0)
    with open(store.run("0-s0", "checkpoint", "metrics.jsonl"), "ab") as file:
        file.write(b"\0\0\0\n")
    assert store.last_metrics("0-s0")["batch"] == 7
    for content in ("", "\0\0", "[]", '{"exit": 0}'):
        Path(store.run("0-s0", "outcome.json")).write_text(content)
        assert store.outcome("0-s0") is None
    assert not store.finished(a_run(0))
