"""Fetching a file from Google Drive and mirrors: cuts, refusals, servers that are busy or silent."""

import dataclasses
import hashlib
import itertools
import os
import signal as signals
import socket
import subprocess
import sys
import time

import pytest
from fake_drive import (
    FORM,
    PICTURES,
    QUOTA,
    ZIP,
    answer,
    archive_of,
    contents,
    page,
    part_of,
    silent,
    stalling,
    status,
    whole,
)
from helpers import ROOT

from srez.download import fetch

PIECE = 1 << 19  # bytes that gdown writes at once; what came after the last whole piece is lost at a cut


def test_celeba_is_what_the_world_calls_celeba():
    celeba = fetch.CELEBA
    assert (celeba.size, celeba.members) == (1_443_490_838, 202_599)
    assert celeba.sha256 == "46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74"
    assert celeba.drive_url == ("https://drive.google.com/uc?export=download&id=0B7EVK8r0v71pZjFTYXZWM3FlRnM")


class TestResume:
    def test_cut_then_the_next_call_goes_on(self, call, drive, tmp_path):
        drive.answers = iter([answer(until=PIECE + 1000), status(404)])
        code, _, message = call()
        assert code == 2
        assert f"524,288 bytes are kept in {part_of(tmp_path)}, delete it to begin again" in message
        assert part_of(tmp_path).read_bytes() == ZIP[:PIECE]
        assert not (tmp_path / "dataset").exists()
        assert call()[0] == 0
        assert drive.ranges() == ["bytes=524288-"]
        assert contents(tmp_path / "dataset") == PICTURES
        assert os.listdir(tmp_path) == ["dataset"]

    def test_many_cuts_in_one_call(self, call, drive, waits, tmp_path):
        cuts = [PIECE * n for n in range(1, 5)]
        later = [[whole, answer(until=at)] for at in cuts[1:]]  # gdown asks first whether the file is there
        drive.answers = iter([answer(until=cuts[0]), *itertools.chain(*later)])
        assert call()[0] == 0
        assert drive.ranges() == [f"bytes={at}-" for at in cuts]
        assert waits == [1] * 4  # every try gained something, so hope is fresh each time
        assert contents(tmp_path / "dataset") == PICTURES

    def test_a_cut_that_gains_nothing_ends_with_growing_waits(self, fails, drive, waits, tmp_path):
        drive.answers = itertools.repeat(answer(until=PIECE + 1000))
        message = fails()
        assert (
            f"Download is incomplete: received {PIECE} bytes but the server announced {len(ZIP)}" in message
        )
        assert "(5 times in a row)" in message
        assert waits == [1, 1, 2, 4, 8]
        assert part_of(tmp_path).read_bytes() == ZIP[:PIECE]

    def test_a_server_without_ranges_gives_way_and_spoils_nothing(self, call, drive, tmp_path):
        part_of(tmp_path).write_bytes(ZIP[:100_000])
        drive.answers = iter([answer(ranges=False)] * 10)
        code, out, _ = call("--url", f"{drive.url}/mirror.zip")
        assert code == 0
        assert "did not honor the requested byte range" in out
        assert drive.ranges() == ["bytes=100000-"] * 6
        assert contents(tmp_path / "dataset") == PICTURES

    @pytest.mark.parametrize("change", [500, -190_000], ids=["longer", "shorter"])
    def test_the_rest_of_another_file_is_not_taken(self, fails, drive, tmp_path, change):
        other = ZIP + bytes(500) if change > 0 else ZIP[:change]
        part_of(tmp_path).write_bytes(ZIP[:10_000])
        drive.answers = itertools.repeat(answer(data=other))
        assert f"another file: {len(other):,} bytes, not {len(ZIP):,}" in fails()
        assert part_of(tmp_path).read_bytes() == ZIP[:10_000]

    def test_a_spoilt_part_is_fetched_again(self, call, drive, tmp_path):
        part_of(tmp_path).write_bytes(b"PK" + bytes(99_998))
        code, out, _ = call()
        assert code == 0
        assert "the file put together has sha256" in out
        assert drive.seen[-1] == ("/download", None)
        assert contents(tmp_path / "dataset") == PICTURES

    @pytest.mark.parametrize("part", [ZIP, ZIP + b"!", b""], ids=["whole", "too long", "empty"])
    def test_other_parts(self, call, drive, tmp_path, part):
        part_of(tmp_path).write_bytes(part)
        assert call()[0] == 0
        assert [path for path, _ in drive.seen] == ([] if part == ZIP else ["/uc", "/download"])
        assert contents(tmp_path / "dataset") == PICTURES

    def test_another_source_goes_on_with_the_part_that_a_page_did_not_spoil(self, call, drive, tmp_path):
        drive.answers = iter([answer(until=PIECE + 1000), page(QUOTA)])
        code, out, _ = call(
            "--url", "https://drive.google.com/uc?id=THE_ID", "--url", f"{drive.url}/mirror.zip"
        )
        assert code == 0
        assert "not from drive.google.com" in out
        assert drive.ranges() == ["bytes=524288-"]
        assert drive.seen[-1] == ("/mirror.zip", "bytes=524288-")
        assert contents(tmp_path / "dataset") == PICTURES


class TestRefusals:
    def test_quota_page(self, fails, drive, tmp_path):
        drive.answers = itertools.repeat(page(QUOTA))
        message = fails()
        assert (
            'drive.google.com: Google Drive refuses ("Too many users have viewed or downloaded this file '
            'recently. [31m Please"): usually its daily quota for this file is used up' in message
        )
        assert "--archive" in message
        assert len(drive.seen) == 2  # asking again would be useless
        assert os.listdir(tmp_path) == []

    def test_another_page_of_drive(self, fails, drive):
        drive.answers = itertools.repeat(page("<html><title>Sign in</title></html>"))
        assert 'Google Drive refuses ("Cannot retrieve the public link of the file.' in fails()

    @pytest.mark.parametrize("form", [FORM.replace("action=", "at="), None], ids=["page", "no type"])
    def test_what_gdown_does_not_expect(self, fails, drive, form):
        drive.answers = itertools.repeat(page(form) if form else lambda h: h.reply(200, {}, b"PK"))
        assert "gives an answer that gdown does not know (KeyError(" in fails()

    def test_endless_forms(self, fails, drive, monkeypatch):
        monkeypatch.setattr(fetch, "LONGEST_START", 0.5)
        drive.answers = itertools.repeat(page(FORM))
        assert "sends nothing of the file within" in fails()

    @pytest.mark.parametrize(
        ("wrong", "say"),
        [
            (ZIP[:-1000], f"another file: {len(ZIP) - 1000:,} bytes, not {len(ZIP):,}"),
            (ZIP + bytes(1000), f"another file: {len(ZIP) + 1000:,} bytes, not {len(ZIP):,}"),
            (QUOTA.encode(), f"a web page or another file: {len(QUOTA)} bytes, not"),
            (ZIP[:5000] + bytes([ZIP[5000] ^ 1]) + ZIP[5001:], "what it sends has sha256 "),
        ],
        ids=["short", "long", "page", "spoilt"],
    )
    def test_another_file(self, fails, drive, tmp_path, wrong, say):
        drive.answers = itertools.repeat(answer(data=wrong))
        message = fails("--url", f"{drive.url}/mirror.zip")
        assert message.count(say) == 2  # from the mirror and from Drive
        assert len(drive.seen) == 3
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("data", [ZIP[:-1000], ZIP + bytes(1000), QUOTA.encode()])
    def test_a_length_that_is_not_announced(self, fails, drive, data):
        drive.answers = itertools.repeat(answer(data=data, headers={"Content-Length": None}))
        message = fails()
        assert ("is a web page" if len(data) < 1000 else f"{len(data):,} bytes") in message

    def test_addresses_that_lead_nowhere(self, fails, drive):
        redirect = lambda to: lambda handler: handler.reply(302, {"Location": to})  # noqa: E731
        drive.answers = iter(
            [redirect("file:///etc/passwd"), *[redirect("/again")] * 31, status(410), status(404)]
        )
        message = fails(*(f"--url={drive.url}/{name}.zip" for name in "abc"))
        assert "No connection adapters were found for 'file:///etc/passwd'" in message
        assert "Exceeded 30 redirects" in message
        assert "answers HTTP 410 Gone" in message

    def test_nobody_there(self, fails, drive, waits):
        drive.answers = iter([status(404)])
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            message = fails("--url", f"http://127.0.0.1:{closed.getsockname()[1]}/a.zip")
        assert "the connection failed (Connection refused) (5 times in a row)" in message
        assert waits == [1, 2, 4, 8]


class TestBusyAndSilent:
    def test_busy_for_a_while(self, call, drive, waits, tmp_path):
        drive.answers = iter([status(503), status(429)])
        code, out, _ = call("--url", f"{drive.url}/mirror.zip")
        assert code == 0
        assert "answers HTTP 503 Service Unavailable: trying again in 1 s" in out
        assert waits == [1, 2]
        assert [path for path, _ in drive.seen] == ["/mirror.zip"] * 3

    @pytest.mark.parametrize("slow", [silent, stalling])
    def test_silent_server(self, call, drive, waits, slow, monkeypatch, tmp_path):
        monkeypatch.setattr(fetch, "TIMEOUT", (5, 0.3))
        drive.answers = iter([slow])
        code, out, _ = call()
        assert code == 0
        assert "the server fell silent: trying again in 1 s" in out
        assert waits == [1]
        assert drive.ranges() == ([] if slow is silent else [f"bytes={2 * PIECE}-"])
        assert contents(tmp_path / "dataset") == PICTURES


class TestMirrors:
    def test_mirrors_are_asked_in_order_then_drive(self, call, drive, tmp_path):
        drive.answers = iter([page(QUOTA), status(404)])
        code, out, _ = call("--url", f"{drive.url}/a.zip", "--url", f"{drive.url}/b.zip")
        assert code == 0
        assert [path for path, _ in drive.seen] == ["/a.zip", "/b.zip", "/uc", "/download"]
        assert "HTTP 404 Not Found" in out
        assert contents(tmp_path / "dataset") == PICTURES

    def test_a_mirror_is_enough(self, call, drive):
        assert call("--url", f"{drive.url}/mirror.zip")[0] == 0
        assert [path for path, _ in drive.seen] == ["/mirror.zip"]

    def test_the_message_says_what_each_said(self, fails, drive):
        drive.answers = iter([status(404), page(QUOTA)])
        message = fails("--url", f"{drive.url}/a.zip")
        assert message.index("404") < message.index("Too many users") < message.index("--archive")
        assert "https://example.invalid/celeba" in message
        assert hashlib.md5(ZIP).hexdigest() in message


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_ended_while_fetching(drive, call, tmp_path, spawn, signal):
    """What arrived is kept for the next call; SIGTERM, which can be answered: exit 75."""
    drive.answers = iter([stalling])
    script = (
        "import signal, sys, download_data as d; from srez.download.fetch import Archive;"
        "signal.signal(signal.SIGTERM, signal.default_int_handler);"
        f"sys.exit(d.main(['--url={drive.url}/a.zip'], Archive(**{dataclasses.asdict(archive_of(ZIP))!r})))"
    )
    child = spawn(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    for _ in range(1000):
        if part_of(tmp_path).exists() and part_of(tmp_path).stat().st_size > 100_000:
            break
        time.sleep(0.02)
    child.send_signal(getattr(signals, f"SIG{signal}"))
    err = child.communicate(timeout=20)[1]
    assert "Traceback" not in err
    if signal == "TERM":
        assert child.returncode == 75
        assert "interrupted" in err
    kept = part_of(tmp_path).stat().st_size
    assert part_of(tmp_path).read_bytes() == ZIP[:kept]
    assert not (tmp_path / "dataset").exists()
    assert call("--url", f"{drive.url}/a.zip")[0] == 0
    assert drive.ranges() == [f"bytes={kept}-"]
    assert contents(tmp_path / "dataset") == PICTURES
