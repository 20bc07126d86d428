"""Fetching a file from Google Drive and mirrors: forms, cuts, refusals, servers that are busy or slow."""

import dataclasses
import hashlib
import itertools
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from fake_drive import (
    FORM,
    LOGIN,
    PICTURES,
    QUOTA,
    UUID,
    ZIP,
    answer,
    archive_of,
    contents,
    page,
    part_of,
    silent,
    stalling,
    status,
    trickling,
)
from helpers import ROOT

from srez.download.fetch import CELEBA


def test_celeba_is_what_the_world_calls_celeba():
    celeba = CELEBA
    assert (celeba.size, celeba.members) == (1_443_490_838, 202_599)
    assert celeba.sha256 == "46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74"
    assert celeba.drive_url == ("https://drive.google.com/uc?export=download&id=0B7EVK8r0v71pZjFTYXZWM3FlRnM")


def test_form_by_post_and_relative_to_its_page(call, drive, tmp_path):
    text = FORM.format(action="mirror.zip?a=1", method="post", uuid=UUID)
    drive.answers = iter([page(text)])
    assert call("--url", f"{drive.url}/some.zip")[0] == 0
    assert [path for path, _ in drive.seen] == ["/some.zip", "/mirror.zip"]
    assert drive.queries[-1] == {"a": "1"}
    assert drive.posted == "id=THE_ID&export=download&confirm=t&uuid=5f2c%26%3Cx%3E"
    assert contents(tmp_path / "dataset") == PICTURES


def test_endless_forms(fails, drive):
    drive.answers = itertools.repeat(page(FORM.format(action="/again", method="get", uuid=UUID)))
    assert "again and again" in fails("--url", f"{drive.url}/x")
    assert len(drive.seen) < 20


class TestResume:
    @pytest.mark.parametrize("tenth", range(1, 10))
    def test_cut_at_a_tenth_then_the_next_call_goes_on(self, call, drive, tmp_path, tenth):
        at = len(ZIP) * tenth // 10
        drive.answers = iter([answer(until=at)])
        code, _, message = call(failures=1, first_wait=0, tries=1)
        assert code == 2
        assert "the same command goes on" in message
        assert part_of(tmp_path).read_bytes() == ZIP[:at]
        assert not (tmp_path / "dataset").exists()
        assert call()[0] == 0
        assert drive.files() == [None, f"bytes={at}-"]
        assert contents(tmp_path / "dataset") == PICTURES

    def test_cut_at_every_tenth_in_one_call(self, call, drive, waits, tmp_path):
        cuts = [len(ZIP) * n // 10 for n in range(1, 10)]
        drive.answers = iter([answer(until=at) for at in cuts])
        assert call()[0] == 0
        assert drive.files() == [None] + [f"bytes={at}-" for at in cuts]
        assert waits == [1] * 9  # every try gained something, so hope is fresh each time
        assert contents(tmp_path / "dataset") == PICTURES

    def test_a_cut_that_gains_nothing_ends_with_growing_waits(self, fails, drive, waits, tmp_path):
        drive.answers = itertools.repeat(answer(until=5000))
        assert "5 times in a row" in fails()
        assert waits == [1, 2, 4, 8]
        assert part_of(tmp_path).read_bytes() == ZIP[:5000]

    def test_a_little_at_a_time_ends_too(self, fails, drive):
        drive.answers = (answer(until=at) for at in itertools.count(100, 100))
        assert "broke 30 times" in fails(tries=30)
        assert len(drive.files()) == 30

    def test_server_without_ranges_begins_again(self, call, drive, tmp_path):
        drive.answers = iter([answer(until=100_000), answer(ranges=False)])
        assert call()[0] == 0
        assert drive.files() == [None, "bytes=100000-"]
        assert contents(tmp_path / "dataset") == PICTURES

    @pytest.mark.parametrize(
        "second",
        [
            answer(shift=7),
            answer(headers={"Content-Range": None}),
            status(416),
            status(416, Content_Range="?"),
        ],
    )
    def test_server_that_does_not_go_on_there(self, call, drive, tmp_path, second):
        drive.answers = iter([answer(until=100_000), second])
        assert call()[0] == 0
        assert drive.files() == [None, "bytes=100000-", None]
        assert contents(tmp_path / "dataset") == PICTURES

    @pytest.mark.parametrize("code", [206, 416])
    def test_the_rest_of_another_file_is_not_taken(self, fails, drive, tmp_path, code):
        other = {206: ZIP + b"x" * 500, 416: ZIP[:50_000]}[code]
        drive.answers = iter([answer(until=100_000), answer(data=other)])
        assert f"{len(other):,} bytes instead of {len(ZIP):,}" in fails()
        assert part_of(tmp_path).read_bytes() == ZIP[:100_000]

    def test_a_spoilt_part_is_fetched_again(self, call, drive, tmp_path):
        part_of(tmp_path).write_bytes(b"PK" + bytes(99_998))
        code, out, _ = call()
        assert code == 0
        assert "sha256" in out
        assert drive.files() == ["bytes=100000-", None]
        assert contents(tmp_path / "dataset") == PICTURES

    @pytest.mark.parametrize("part", [ZIP, ZIP + b"!", b""], ids=["whole", "too long", "empty"])
    def test_other_parts(self, call, drive, tmp_path, part):
        part_of(tmp_path).write_bytes(part)
        assert call()[0] == 0
        assert drive.files() == ([] if part == ZIP else [None])
        assert contents(tmp_path / "dataset") == PICTURES

    def test_a_page_does_not_spoil_the_part(self, fails, drive, tmp_path):
        drive.answers = iter([answer(until=100_000), page(QUOTA)])
        fails()
        assert part_of(tmp_path).read_bytes() == ZIP[:100_000]

    def test_another_source_goes_on_with_the_part(self, call, drive, tmp_path):
        drive.answers = iter([answer(until=100_000), page(QUOTA)])
        assert call("--url", f"{drive.url}/mirror.zip")[0] == 0
        assert drive.files() == [None, "bytes=100000-", "bytes=100000-"]
        assert contents(tmp_path / "dataset") == PICTURES


class TestRefusals:
    @pytest.mark.parametrize("kind", ["text/html", "application/zip"])
    def test_quota_page(self, fails, drive, kind):
        drive.answers = itertools.repeat(page(QUOTA, **{"Content-Type": kind}))
        message = fails()
        assert "Too many users have viewed or downloaded this file recently. [31m Please" in message
        assert "quota" in message
        assert "--archive" in message
        assert len(drive.files()) == 1  # asking again would be useless

    @pytest.mark.parametrize(
        "answer_", [status(302, Location="/ServiceLogin?continue=x"), page(LOGIN + "ServiceLogin")]
    )
    def test_login_wall(self, fails, drive, answer_):
        drive.answers = itertools.repeat(answer_)
        assert "wants a login" in fails()

    def test_another_page(self, fails, drive):
        drive.answers = itertools.repeat(page("<html><title>Hotel &amp; WiFi</title></html>"))
        assert 'a web page ("Hotel & WiFi") instead of the file' in fails()

    def test_not_found(self, fails, drive):
        drive.answers = itertools.repeat(page("<html><title>Gone</title></html>", 404))
        assert 'HTTP 404, sends a web page ("Gone")' in fails()
        drive.answers = itertools.repeat(status(410))
        assert "HTTP 410 Gone" in fails()

    def test_neither_zip_nor_page(self, fails, drive, tmp_path):
        drive.answers = itertools.repeat(answer(data=b"Quota exceeded".ljust(len(ZIP))))
        assert "begins with b'Quota exceeded" in fails()
        assert not part_of(tmp_path).exists()

    @pytest.mark.parametrize("length", [{}, {"Content-Length": None}], ids=["announced", "not announced"])
    @pytest.mark.parametrize("change", [-1000, 1000])
    def test_wrong_size(self, fails, drive, length, change):
        wrong = ZIP[:change] if change < 0 else ZIP + bytes(change)
        drive.answers = itertools.repeat(answer(data=wrong, headers=length))
        message = fails()
        if length and change > 0:  # an answer without end would end here too
            assert f"sends more than {len(ZIP):,} bytes" in message
        else:
            assert f"{len(ZIP):,}" in message
            assert f"{len(wrong):,}" in message

    def test_wrong_hash(self, fails, drive, tmp_path):
        wrong = ZIP[:5000] + bytes([ZIP[5000] ^ 1]) + ZIP[5001:]
        drive.answers = itertools.repeat(answer(data=wrong))
        assert f"sha256 {hashlib.sha256(wrong).hexdigest()[:8]}" in fails()
        assert drive.files() == [None]
        assert not part_of(tmp_path).exists()

    def test_redirect_loop(self, fails, drive):
        assert "redirects in a circle" in fails("--url", f"{drive.url}/loop", drive_url=f"{drive.url}/loop?")
        assert len(drive.seen) <= 2 * 12

    def test_nobody_there(self, fails, waits):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            message = fails(drive_url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert "Connection refused" in message
        assert waits == [1, 2, 4, 8]

    def test_bad_redirect(self, fails, drive):
        drive.answers = itertools.repeat(status(302, Location="file:///etc/passwd"))
        assert "file:///etc/passwd" in fails()


class TestBusyAndSlow:
    @pytest.mark.parametrize("code", [429, 503])
    def test_retry_after_is_honoured(self, call, drive, waits, code, tmp_path):
        soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        drive.answers = iter(
            [status(code, Retry_After=7), status(code, Retry_After=soon), status(code, Retry_After="?")]
        )
        assert call()[0] == 0
        assert waits[0] == 7
        assert 80 < waits[1] <= 90
        assert waits[2] == 4
        assert contents(tmp_path / "dataset") == PICTURES

    def test_retry_after_too_long(self, fails, drive, waits):
        drive.answers = itertools.repeat(status(429, Retry_After=86400))
        message = fails()
        assert "86400 s" in message
        assert waits == []

    def test_busy_for_ever(self, fails, drive, waits):
        drive.answers = itertools.repeat(status(503))
        assert "HTTP 503" in fails(longest_wait=3)
        assert waits == [1, 2, 3, 3]

    @pytest.mark.parametrize("slow", [silent, stalling])
    def test_silent_server(self, call, drive, waits, slow, tmp_path):
        drive.answers = iter([slow])
        begun = time.monotonic()
        assert call(silence=0.3)[0] == 0
        assert time.monotonic() - begun < 5
        assert len(waits) == 1
        assert drive.files()[1] == (None if slow is silent else f"bytes={len(ZIP) // 2}-")
        assert contents(tmp_path / "dataset") == PICTURES

    def test_always_silent(self, fails, drive):
        drive.answers = itertools.repeat(silent)
        assert "fell silent (3 times in a row)" in fails(silence=0.2, failures=3)

    def test_trickling_server(self, call, drive, waits):
        drive.answers = iter([trickling])
        code, out, _ = call(window=0.2, slowest=1000)
        assert code == 0
        assert "bytes per second" in out
        assert len(waits) == 1


class TestMirrors:
    def test_mirrors_are_asked_in_order_then_drive(self, call, drive, tmp_path):
        drive.answers = iter([page(QUOTA), status(404)])
        code, out, _ = call("--url", f"{drive.url}/a.zip", "--url", f"{drive.url}/b.zip")
        assert code == 0
        assert [path for path, _ in drive.seen] == ["/a.zip", "/b.zip", "/uc", "/warning", "/download"]
        assert "404" in out
        assert contents(tmp_path / "dataset") == PICTURES

    def test_a_mirror_is_enough(self, call, drive):
        assert call("--url", f"{drive.url}/mirror.zip")[0] == 0
        assert [path for path, _ in drive.seen] == ["/mirror.zip"]

    def test_a_mirror_with_another_file_is_passed_over(self, call, drive, tmp_path):
        drive.answers = iter([answer(data=ZIP[:-1] + b"\1")])
        assert call("--url", f"{drive.url}/mirror.zip")[0] == 0
        assert contents(tmp_path / "dataset") == PICTURES

    def test_the_message_says_what_each_said(self, fails, drive):
        drive.answers = iter([status(404), page(QUOTA)])
        message = fails("--url", f"{drive.url}/a.zip")
        assert message.index("404") < message.index("Too many users") < message.index("--archive")
        assert "https://example.invalid/celeba" in message
        assert hashlib.md5(ZIP).hexdigest() in message


def test_terminated_while_fetching(drive, tmp_path, spawn):
    """SIGTERM: exit 75, and what arrived is kept for the next call."""
    drive.answers = iter([stalling])
    script = (
        "import signal, sys, download_data as d; from srez.download.fetch import Archive;"
        "signal.signal(signal.SIGTERM, signal.default_int_handler);"
        f"sys.exit(d.main([], Archive(**{dataclasses.asdict(archive_of(ZIP, drive.url))!r})))"
    )
    child = spawn(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    for _ in range(1000):
        if part_of(tmp_path).exists() and part_of(tmp_path).stat().st_size >= len(ZIP) // 2 - 8192:
            break
        time.sleep(0.02)
    child.terminate()
    err = child.communicate(timeout=20)[1]
    assert child.returncode == 75
    assert "interrupted" in err
    assert "Traceback" not in err
    assert part_of(tmp_path).read_bytes() == ZIP[: len(ZIP) // 2]
    assert not (tmp_path / "dataset").exists()
