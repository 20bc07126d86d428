"""CelebA in a folder: fetched or taken from a zip that is there, its terms told first."""

import os

import pytest
from fake_drive import PICTURES, QUOTA, ZIP, contents

from srez.download import celeba
from srez.download import fetch as fetch_module


def test_one_command_through_drives_form(call, drive, tmp_path):
    code, out, _ = call()
    assert code == 0
    assert contents(tmp_path / "dataset") == PICTURES
    assert [path for path, _ in drive.seen] == ["/uc", "/download"]
    assert sorted(os.listdir(tmp_path)) == ["dataset"]
    assert "12 pictures" in out


def test_terms_come_before_the_first_request(call, drive, monkeypatch, capsys):
    printed = []
    fetch = fetch_module.fetch
    monkeypatch.setattr(
        celeba,
        "fetch",
        lambda *a: (printed.append((capsys.readouterr().out, list(drive.seen))), fetch(*a)),
    )
    assert call()[0] == 0
    ((text, requests),) = printed
    assert "non-commercial research" in text
    assert "distribute" in text
    assert requests == []


def test_second_call_checks_and_ends(call, drive, tmp_path):
    call()
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "dataset").iterdir()}
    drive.seen.clear()
    code, out, _ = call()
    assert (code, drive.seen) == (0, [])
    assert "12 pictures, all there" in out
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "dataset").iterdir()} == before


def test_count_then_more_then_all(call, tmp_path):
    for number in (3, 5, 12):
        assert call("--count", str(number))[0] == 0
        assert contents(tmp_path / "dataset") == dict(list(PICTURES.items())[:number])
    assert "13" in call("--count", "13", "--dest", "other")[2]


def test_keep_archive(call, drive, tmp_path):
    assert call("--keep_archive")[0] == 0
    assert (tmp_path / "img_align_celeba.zip").read_bytes() == ZIP
    drive.seen.clear()
    assert call("--dest", "second", "--count", "2")[0] == 0  # taken from the zip that lies there
    assert drive.seen == []
    assert (tmp_path / "img_align_celeba.zip").exists()


class TestArchiveByHand:
    def test_good(self, call, drive, tmp_path):
        path = tmp_path / "by hand.zip"
        path.write_bytes(ZIP)
        code, out, _ = call("--archive", str(path))
        assert (code, drive.seen) == (0, [])
        assert "non-commercial" in out
        assert path.read_bytes() == ZIP
        assert contents(tmp_path / "dataset") == PICTURES

    @pytest.mark.parametrize(
        ("data", "say"),
        [
            (QUOTA.encode(), "is a web page"),
            (ZIP[:-1], f"{len(ZIP) - 1:,} bytes instead of {len(ZIP):,}"),
            (ZIP[:-1] + b"\1", "sha256"),
            (b"", "0 bytes"),
        ],
    )
    @pytest.mark.parametrize("option", [True, False], ids=["given", "found"])
    def test_bad(self, fails, drive, tmp_path, data, say, option):
        path = tmp_path / "img_align_celeba.zip"
        path.write_bytes(data)
        message = fails(*(["--archive", str(path)] if option else []))
        assert say in message
        assert str(path) in message
        assert drive.seen == []

    def test_missing(self, fails, drive):
        assert "by_hand.zip: no such file" in fails("--archive", "by_hand.zip")
        assert drive.seen == []
