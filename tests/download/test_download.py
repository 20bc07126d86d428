"""download_data.py against an HTTP server of its own that plays Google Drive, well and badly."""

import dataclasses
import hashlib
import io
import itertools
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.parse
import zipfile
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import download_data
from srez.data.drawn import faces
from srez.download import celeba, check, drawn
from srez.download import fetch as fetch_module
from srez.download import unpack as unpacking
from srez.download.fetch import CELEBA, Archive, RetryPolicy
from srez.download.unpack import MARKER, STAGE, free_bytes

COMMAND = Path(download_data.__file__)
PICTURES = {
    f"{n:06d}.jpg": np.random.default_rng(n).integers(0, 256, 20000 + 7 * n, np.uint8).tobytes()
    for n in range(1, 13)
}
MEMBERS = len(PICTURES)
UUID = "5f2c&amp;<x>"  # needs escaping both in HTML and in an address
QUOTA = """<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<a href="https://accounts.google.com/ServiceLogin?service=wise">Sign in</a>
<p class="uc-error-caption">Sorry</p>
<p class="uc-error-subcaption">Too many users have viewed or
downloaded this file recently.\x1b[31m Please try again later.</p></body></html>"""
LOGIN = '<html><title>Sign in</title><form action="/v3"><input type=hidden name=a value=b></form></html>'
FORM = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<a href="https://accounts.google.com/ServiceLogin">Sign in</a>
<form action="/search"><input type="hidden" name="q" value="wrong form"></form>
<form id="download-form" action="{action}" method="{method}"><input type="submit" name="go" value="Download"/>
<input type="hidden" name="id" value="THE_ID"><input type="hidden" name="export" value="download">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="{uuid}"></form>
<input type="hidden" name="outside" value="1"></body></html>"""


def zip_of(files: dict, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip; keys are names or ZipInfo, in order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return buffer.getvalue()


def in_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    return {"img_align_celeba/": b""} | {f"img_align_celeba/{name}": data for name, data in files.items()}


ZIP = zip_of(in_folder(PICTURES))


def archive_of(data: bytes, drive: str = "http://127.0.0.1:9", members: int = MEMBERS) -> Archive:
    return Archive(
        name="img_align_celeba.zip",
        page="https://example.invalid/celeba",
        drive_id="THE_ID",
        size=len(data),
        md5=hashlib.md5(data).hexdigest(),
        sha256=hashlib.sha256(data).hexdigest(),
        folder="img_align_celeba",
        members=members,
        drive=drive,
    )


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        self.server.seen.append((address.path, self.headers.get("Range")))
        self.server.queries.append(query)
        # Read even where nobody asks: closing with unread bytes resets the connection, the answer is lost.
        self.server.posted = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if address.path == "/uc":
            self.reply(303, {"Location": f"/warning?id={query['id']}&export=download"})
        elif address.path == "/warning":
            self.page(
                FORM.format(action="/download", method="get", uuid=UUID), {"Set-Cookie": "scan=seen; Path=/"}
            )
        elif address.path == "/loop":
            self.reply(302, {"Location": "/loop"})
        elif address.path == "/download" and not self.confirmed(query):
            self.reply(403, {}, b"no form, no file")
        elif address.path == "/ServiceLogin":
            self.page(LOGIN)
        else:
            next(self.server.answers, whole)(self)

    do_POST = do_GET

    def confirmed(self, query: dict) -> bool:
        form = {"id": "THE_ID", "export": "download", "confirm": "t", "uuid": "5f2c&<x>"}
        return query == form and "scan=seen" in self.headers.get("Cookie", "")

    def reply(self, status: int, headers: dict, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": len(body)} | headers).items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def page(self, text: str, headers: dict | None = None, status: int = 200) -> None:
        self.reply(status, {"Content-Type": "text/html; charset=utf-8"} | (headers or {}), text.encode())

    def log_message(self, *args) -> None:
        """Say nothing."""


class Drive(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.data, self.answers, self.seen, self.queries, self.posted = ZIP, iter(()), [], [], ""
        self.over = threading.Event()  # lets slow answers end

    def handle_error(self, *args) -> None:
        """A client that left is no error."""

    def files(self) -> list[str | None]:
        """The Range headers of all requests for the file itself."""
        return [asked for path, asked in self.seen if path in ("/download", "/mirror.zip")]


@pytest.fixture
def drive(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Drive()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join(10)
    server.server_close()


# What the server can answer when it is asked for the file.


def serve(handler, *, ranges=True, until=None, shift=0, headers=None, data=None):
    """The file as an honest server gives it, but for what the options say; cut off at byte `until`."""
    data = handler.server.data if data is None else data
    asked = handler.headers.get("Range")
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and ranges else 0
    if start >= len(data):
        handler.reply(416, {"Content-Range": f"bytes */{len(data)}"})
        return
    body = data[start + shift :]
    head = {"Content-Length": len(body), "Content-Type": "application/octet-stream"}
    if asked and ranges:
        head["Content-Range"] = f"bytes {start + shift}-{len(data) - 1}/{len(data)}"
    head |= headers or {}
    handler.reply(
        206 if asked and ranges else 200, head, body[: None if until is None else max(0, until - start)]
    )


whole = serve


def answer(**options):
    return lambda handler: serve(handler, **options)


def page(text, status=200, **headers):
    return lambda handler: handler.page(text, headers, status)


def status(code, **headers):
    return lambda handler: handler.reply(code, {k.replace("_", "-"): v for k, v in headers.items()}, b"...")


def silent(handler):
    handler.server.over.wait(10)


def stalling(handler):
    """Half of the file, then nothing."""
    serve(handler, until=len(handler.server.data) // 2)
    handler.wfile.flush()
    handler.server.over.wait(10)


def trickling(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(handler.server.data)))
    handler.end_headers()
    for n in range(300):
        if handler.server.over.wait(0.02):
            return
        handler.wfile.write(handler.server.data[n : n + 1])


class Waits(list):
    """A sleep that only takes notes."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def waits():
    return Waits()


@pytest.fixture
def call(tmp_path, drive, waits, capsys):
    """Run the command in this process: call(*arguments, data=...) -> (exit code, stdout, message)."""

    def run(*arguments, data=ZIP, members=MEMBERS, drive_url=drive.url, **policy):
        drive.data = data
        os.chdir(tmp_path)
        hope = RetryPolicy(**{"connect": 5, "silence": 5, "sleep": waits} | policy)
        code = download_data.main(list(arguments), archive_of(data, drive_url, members), hope)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        messages = [line for line in err.splitlines() if line.startswith("download_data: ")]
        assert len(messages) == (1 if code else 0)
        return code, out, (messages or [""])[0]

    old = Path.cwd()
    yield run
    os.chdir(old)


@pytest.fixture
def fails(call, tmp_path):
    """The same for what must fail: exit 2, no dataset; returns the message."""

    def run(*arguments, **options):
        code, _, message = call(*arguments, **options)
        assert code == 2
        assert not (tmp_path / "dataset").exists()
        return message

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def part_of(tmp_path: Path) -> Path:
    return tmp_path / "img_align_celeba.zip.part"


class TestFetching:
    def test_one_command_through_drives_form(self, call, drive, tmp_path):
        code, out, _ = call()
        assert code == 0
        assert contents(tmp_path / "dataset") == PICTURES
        assert [path for path, _ in drive.seen] == ["/uc", "/warning", "/download"]
        assert sorted(os.listdir(tmp_path)) == ["dataset"]
        assert "12 pictures" in out

    def test_terms_come_before_the_first_request(self, call, drive, monkeypatch, capsys):
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

    def test_second_call_checks_and_ends(self, call, drive, tmp_path):
        call()
        before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "dataset").iterdir()}
        drive.seen.clear()
        code, out, _ = call()
        assert (code, drive.seen) == (0, [])
        assert "12 pictures, all there" in out
        assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "dataset").iterdir()} == before

    def test_count_then_more_then_all(self, call, tmp_path):
        for number in (3, 5, 12):
            assert call("--count", str(number))[0] == 0
            assert contents(tmp_path / "dataset") == dict(list(PICTURES.items())[:number])
        assert "13" in call("--count", "13", "--dest", "other")[2]

    def test_keep_archive(self, call, drive, tmp_path):
        assert call("--keep_archive")[0] == 0
        assert (tmp_path / "img_align_celeba.zip").read_bytes() == ZIP
        drive.seen.clear()
        assert call("--dest", "second", "--count", "2")[0] == 0  # taken from the zip that lies there
        assert drive.seen == []
        assert (tmp_path / "img_align_celeba.zip").exists()

    def test_form_by_post_and_relative_to_its_page(self, call, drive, tmp_path):
        text = FORM.format(action="mirror.zip?a=1", method="post", uuid=UUID)
        drive.answers = iter([page(text)])
        assert call("--url", f"{drive.url}/some.zip")[0] == 0
        assert [path for path, _ in drive.seen] == ["/some.zip", "/mirror.zip"]
        assert drive.queries[-1] == {"a": "1"}
        assert drive.posted == "id=THE_ID&export=download&confirm=t&uuid=5f2c%26%3Cx%3E"
        assert contents(tmp_path / "dataset") == PICTURES

    def test_endless_forms(self, fails, drive):
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


def member(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    info.create_system = 3
    return info


def renamed(old: bytes, new: bytes) -> bytes:
    """The zip with a name replaced by another of the same length, as no zip program would write it."""
    assert len(old) == len(new)
    return zip_of(in_folder(PICTURES)).replace(old, new)


LAST = b"img_align_celeba/000012.jpg"
SLIPS = {
    "up": b"img_align_celeba/../../x.jpg"[:27],
    "up first": b"../../../../../../tmp/x.jpg",
    "up alone": b"img_align_celeba/.........."[:17] + b"../000.jpg",
    "absolute": b"/tmp/img_align_celeba/x.jpg",
    "backslash": b"img_align_celeba/..\\012.jpg",
    "drive": b"C:\\img_align_celeb\\0012.jpg",
    "nul": b"img_align_celeba/0012.jpg\0x",
    "newline": b"img_align_celeba/0\n0012.jpg",
    "hidden": b"img_align_celeba/.00012.jpg",
    "program": b"img_align_celeba/0000012.py",
    "folder": b"img_align_celeba/a/0012.jpg",
    "other folder": b"img_align_celebX/000012.jpg",
}


class TestUnpacking:
    def unpack(self, fails, tmp_path, data: bytes, members: int = MEMBERS) -> str:
        """The message for a zip whose size and hash are right, so that only the unpacking can object."""
        outside = set(tmp_path.parent.iterdir())
        (tmp_path / "bad.zip").write_bytes(data)
        message = fails("--archive", "bad.zip", data=data, members=members)
        assert os.listdir(tmp_path) == ["bad.zip"]
        assert set(tmp_path.parent.iterdir()) == outside
        assert "bad.zip" in message
        return message

    def test_the_same_way_works_for_a_good_zip(self, call, tmp_path):
        data = zip_of(PICTURES, zipfile.ZIP_DEFLATED)  # without the folder, and compressed
        (tmp_path / "good.zip").write_bytes(data)
        assert call("--archive", "good.zip", data=data)[0] == 0
        assert contents(tmp_path / "dataset") == PICTURES

    @pytest.mark.parametrize("name", SLIPS.values(), ids=SLIPS)
    def test_names_that_leave_the_folder(self, fails, tmp_path, name):
        assert "not a plain picture name" in self.unpack(fails, tmp_path, renamed(LAST, name))

    @pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
    def test_links_and_devices(self, fails, tmp_path, kind):
        data = zip_of(PICTURES | {member("000013.jpg", kind | 0o777): b"/etc/passwd"})
        assert "is a link or device" in self.unpack(fails, tmp_path, data, 13)

    def test_bomb(self, fails, tmp_path):
        bombs = {f"{n:06d}.jpg": bytes(1 << 20) for n in range(12)}
        data = zip_of(bombs, zipfile.ZIP_DEFLATED)
        assert f"would grow to {12 << 20:,} bytes" in self.unpack(fails, tmp_path, data)
        data = zip_of(PICTURES | {"000012.jpg": bytes((1 << 24) + 1)}, zipfile.ZIP_DEFLATED)
        assert "too large for a picture" in self.unpack(fails, tmp_path, data)

    def test_bomb_that_lies_about_its_size(self, fails, tmp_path):
        data = bytearray(zip_of(PICTURES | {"000012.jpg": bytes(1 << 22)}, zipfile.ZIP_DEFLATED))
        for found in range(len(data) - 4):  # in the member's header and in the directory
            if data[found : found + 4] == (1 << 22).to_bytes(4, "little"):
                data[found : found + 4] = (1000).to_bytes(4, "little")
        assert "is damaged" in self.unpack(fails, tmp_path, bytes(data))

    def test_too_many_and_too_few(self, fails, tmp_path):
        assert "12 pictures instead of 11" in self.unpack(fails, tmp_path, ZIP, 11)
        assert "12 pictures instead of 13" in self.unpack(fails, tmp_path, ZIP, 13)

    @pytest.mark.parametrize("kept", [0.02, 0.5, 0.999])
    def test_truncated(self, fails, tmp_path, kept):
        assert "is damaged" in self.unpack(fails, tmp_path, ZIP[: int(len(ZIP) * kept)])

    def test_wrong_checksum(self, fails, tmp_path):
        data = ZIP.replace(PICTURES["000012.jpg"][:50], bytes(50))
        message = self.unpack(fails, tmp_path, data)
        assert "000012.jpg" in message
        assert "CRC" in message

    @pytest.mark.parametrize("name", [b"000001.jpg", b"00000A.jpg"])
    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_the_same_name_twice(self, fails, tmp_path, name):
        files = {b"00000a.jpg".decode(): b"1", **PICTURES}
        data = zip_of({**files, member(name.decode()): b"2"})
        assert "is there twice" in self.unpack(fails, tmp_path, data, 14)

    def test_encrypted(self, fails, tmp_path):
        data = bytearray(ZIP)
        data[data.rindex(b"PK\1\2") + 8] |= 1
        assert "encrypted" in self.unpack(fails, tmp_path, bytes(data))

    def test_full_disk_is_told_before_anything_is_written(self, fails, monkeypatch, tmp_path, drive):
        monkeypatch.setattr(unpacking, "free_bytes", lambda folder: 1000)
        assert "GB free" in fails()
        assert drive.seen == []
        (tmp_path / "by hand.zip").write_bytes(ZIP)
        assert "GB free" in fails("--archive", "by hand.zip")

    def test_room_is_that_of_the_disk_and_just_enough_is_enough(self, call, monkeypatch, tmp_path):
        free = free_bytes(tmp_path / "not" / "there")
        assert free > 0
        monkeypatch.setattr(unpacking, "free_bytes", lambda folder: 2 * len(ZIP))
        assert call()[0] == 0

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
    def test_interrupted_while_unpacking(self, call, monkeypatch, tmp_path, drive, error):
        written = Path.write_bytes

        def breaks(path, data):
            if path.name == "000007.jpg":
                raise error
            return written(path, data)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", breaks)
            code, _, message = call()
        assert code == (2 if isinstance(error, OSError) else 75)
        assert "same command" in message
        assert os.listdir(tmp_path) == ["img_align_celeba.zip.part"]
        drive.seen.clear()
        assert call()[0] == 0
        assert drive.seen == []  # the fetched zip was kept
        assert contents(tmp_path / "dataset") == PICTURES

    @pytest.mark.parametrize("failing", [1, 6, 12])
    def test_interrupted_while_moving(self, call, monkeypatch, tmp_path, failing):
        replace, calls = os.replace, itertools.count()

        def breaks(source, target):
            if str(target).endswith(".jpg") and next(calls) == failing - 1:
                raise OSError(5, "Input/output error", str(target))
            return replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", breaks)
            assert call()[0] == 2
        names = list(PICTURES)[: failing - 1]
        assert contents(tmp_path / "dataset") == {n: PICTURES[n] for n in names}  # each of them whole
        code, out, _ = call()
        assert code == 0
        assert "interrupted" in out
        assert contents(tmp_path / "dataset") == PICTURES
        assert sorted(os.listdir(tmp_path / "dataset"))[:1] == [MARKER]

    def test_killed_while_unpacking(self, call, tmp_path):
        stage = tmp_path / "dataset" / STAGE
        stage.mkdir(parents=True)
        (stage / "000001.jpg").write_bytes(b"half of it")
        assert call()[0] == 0
        assert contents(tmp_path / "dataset") == PICTURES
        assert not stage.exists()


class TestWhatTheUserHas:
    def test_other_files_stay(self, call, tmp_path):
        (tmp_path / "dataset").mkdir()
        (tmp_path / "dataset" / "list_attr.txt").write_text("mine")
        assert call()[0] == 0
        assert contents(tmp_path / "dataset") == PICTURES | {"list_attr.txt": b"mine"}

    @pytest.mark.parametrize("name", ["000001.jpg", "holiday/me.PNG"])
    def test_other_pictures_are_not_mixed_in(self, call, drive, tmp_path, name):
        path = tmp_path / "dataset" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"mine")
        code, _, message = call()
        assert (code, drive.seen) == (2, [])
        assert name in message
        assert "--dest" in message
        assert path.read_bytes() == b"mine"

    def test_pictures_added_later_stay(self, call, tmp_path):
        call("--count", "3")
        (tmp_path / "dataset" / "me.png").write_bytes(b"mine")
        code, out, _ = call()
        assert code == 0
        assert "1 other pictures" in out
        assert contents(tmp_path / "dataset") == PICTURES | {"me.png": b"mine"}

    def test_a_name_taken_meanwhile_is_not_replaced(self, call, tmp_path):
        call("--count", "3")
        (tmp_path / "dataset" / "000005.jpg").write_bytes(b"mine")
        code, _, message = call()
        assert code == 2
        assert "000005.jpg" in message
        first = dict(list(PICTURES.items())[:3])
        assert contents(tmp_path / "dataset") == first | {"000005.jpg": b"mine"}

    def test_lost_pictures_come_back(self, call, tmp_path):
        call()
        (tmp_path / "dataset" / "000004.jpg").unlink()
        code, out, _ = call()
        assert code == 0
        assert "1 of 12 pictures are missing" in out
        assert contents(tmp_path / "dataset") == PICTURES

    def test_a_changed_picture_is_not_replaced(self, call, drive, tmp_path):
        call()
        drive.seen.clear()
        (tmp_path / "dataset" / "000004.jpg").write_bytes(b"retouched")
        code, _, message = call()
        assert (code, drive.seen) == (2, [])
        assert "000004.jpg" in message
        assert (tmp_path / "dataset" / "000004.jpg").read_bytes() == b"retouched"

    def test_a_file_where_the_folder_should_be(self, call, tmp_path):
        (tmp_path / "dataset").write_text("mine")
        assert "is a file" in call()[2]
        assert (tmp_path / "dataset").read_text() == "mine"

    def test_another_source(self, call, tmp_path):
        call("--count", "2")
        assert "holds pictures of --source celeba" in call("--source", "synthetic", "--count", "5")[2]
        assert len(contents(tmp_path / "dataset")) == 2

    def test_a_damaged_marker(self, call, tmp_path):
        call("--count", "2")
        (tmp_path / "dataset" / MARKER).write_text('{"source": "celeba"')
        assert "is damaged" in call()[2]

    def test_a_linked_folder_is_filled_where_it_lies(self, call, tmp_path):
        (tmp_path / "disk" / "faces").mkdir(parents=True)
        (tmp_path / "dataset").symlink_to(tmp_path / "disk" / "faces")
        assert call("--keep_archive")[0] == 0
        assert contents(tmp_path / "disk" / "faces") == PICTURES
        assert (tmp_path / "dataset").is_symlink()
        assert (tmp_path / "disk" / "img_align_celeba.zip").exists()


class TestSynthetic:
    def test_drawn_faces_as_jpeg(self, call, tmp_path, drive):
        code, out, _ = call("--source", "synthetic", "--count", "3")
        assert (code, drive.seen) == (0, [])
        assert "drawn" in out
        assert "not photographs" in out
        assert sorted(contents(tmp_path / "dataset")) == ["000001.jpg", "000002.jpg", "000003.jpg"]
        for number in (1, 2, 3):
            with Image.open(tmp_path / "dataset" / f"{number:06d}.jpg") as picture:
                assert (picture.format, picture.size, picture.mode) == ("JPEG", (178, 218), "RGB")
                difference = np.asarray(picture).astype(int) - faces.draw(number)
            assert np.abs(difference).mean() < 4
            assert np.abs(np.asarray(faces.draw(number)).astype(int) - faces.draw(number + 1)).mean() > 8

    def test_more_of_them_later(self, call, tmp_path):
        call("--source", "synthetic", "--count", "2")
        before = contents(tmp_path / "dataset")
        assert call("--source", "synthetic", "--count", "4")[0] == 0
        after = contents(tmp_path / "dataset")
        assert len(after) == 4
        assert before.items() < after.items()
        code, out, _ = call("--source", "synthetic", "--count", "2")
        assert code == 0
        assert "4 pictures, all there" in out

    def test_whole_or_not_at_all(self, call, tmp_path, monkeypatch):
        def draw(number, seed=0):
            if number == 20:
                raise OSError(28, "No space left on device")
            return np.zeros((218, 178, 3), np.uint8)

        monkeypatch.setattr(faces, "draw", draw)
        assert "No space left" in call("--source", "synthetic", "--count", "40")[2]
        assert os.listdir(tmp_path) == []

    def test_full_disk(self, call, tmp_path, monkeypatch):
        monkeypatch.setattr(unpacking, "free_bytes", lambda folder: 1000)
        assert "GB free" in call("--source", "synthetic", "--count", "40")[2]
        assert os.listdir(tmp_path) == []

    def test_processes_draw_the_same_files(self, call, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "cpu_count", lambda: 2)
        call("--source", "synthetic", "--count", "40", "--dest", "alone")
        monkeypatch.setattr(drawn, "FACES_PER_PROCESS", 20)
        assert call("--source", "synthetic", "--count", "40", "--dest", "together")[0] == 0
        assert len(contents(tmp_path / "together")) == 40
        assert contents(tmp_path / "together") == contents(tmp_path / "alone")

    def test_a_process_that_is_ended(self, call, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "cpu_count", lambda: 2)
        monkeypatch.setattr(drawn, "FACES_PER_PROCESS", 20)
        monkeypatch.setattr(drawn, "_jpeg", os._exit)
        code, _, message = call("--source", "synthetic", "--count", "40")
        assert code == 2
        assert "a process that drew was ended" in message
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_interrupted_while_processes_draw(self, tmp_path, spawn, number):
        """Ctrl-C goes to the whole group: exit 75, no traceback, nothing left over, no process either."""
        words = ["--source", "synthetic", "--count", "100000"]
        child = spawn([sys.executable, str(COMMAND), *words], cwd=tmp_path, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 40
        while not list(tmp_path.glob("dataset/.srez_unfinished/*.jpg")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(child.pid, number)
        err = child.communicate(timeout=30)[1]  # returns when the last process has closed it
        assert child.returncode == 75, err
        assert "interrupted" in err
        assert "Traceback" not in err
        assert os.listdir(tmp_path) == []


def picture(seed: int, width: int = 150, height: int = 140) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Three good pictures, in several formats and depths."""
    path = tmp_path / "mine"
    (path / "deep" / "er").mkdir(parents=True)
    picture(1).save(path / "a.PNG")
    picture(2).convert("L").save(path / "deep" / "b.jpeg")
    picture(3, 128, 128).save(path / "deep" / "er" / "c.webp", lossless=True)
    (path / "notes.txt").write_text("not a picture")
    return path


class TestCheck:
    def test_good_folder(self, call, folder):
        code, out, _ = call("--check", str(folder))
        assert code == 0
        assert "3 pictures, 1 other files" in out
        assert "damaged: 0" in out
        assert "smaller than 128x128: 0" in out
        assert "duplicates: 0" in out
        assert "  150x140: 2\n  128x128: 1" in out

    def test_damaged_are_named_with_the_reason(self, call, folder):
        data = (folder / "deep" / "b.jpeg").read_bytes()
        (folder / "deep" / "cut.jpg").write_bytes(data[: len(data) // 2])
        (folder / "page.jpg").write_text(QUOTA)
        (folder / "empty.bmp").write_bytes(b"")
        code, out, message = call("--check", str(folder))
        assert code == 2
        assert "3 of 6 pictures cannot be used (3 damaged, 0 smaller than 128)" in message
        assert "damaged: 3\n  deep/cut.jpg: image file is truncated" in out
        assert "  empty.bmp: " in out
        assert "  page.jpg: no picture" in out

    def test_too_small(self, call, folder):
        picture(4, 127, 300).save(folder / "thin.png")
        code, out, message = call("--check", str(folder))
        assert code == 2
        assert "1 of 4 pictures" in message
        assert "smaller than 128x128: 1\n  thin.png: 127x300" in out
        assert call("--check", str(folder), "--crop_size", "127")[0] == 0
        assert call("--check", str(folder), "--crop_size", "129")[0] == 2

    def test_duplicates_by_bytes_and_by_pixels(self, call, folder):
        (folder / "deep" / "copy.png").write_bytes((folder / "a.PNG").read_bytes())
        picture(3, 128, 128).save(folder / "z.bmp")
        code, out, _ = call("--check", str(folder))
        assert code == 0  # they can be used
        assert "duplicates: 2\n" in out
        assert "  a.PNG = deep/copy.png\n" in out
        assert "  deep/er/c.webp = z.bmp (same pixels, other files)\n" in out

    def test_long_lists_are_cut_but_the_damaged_all_named(self, call, tmp_path):
        for n in range(30):
            picture(n, 20, 20 + n).save(tmp_path / f"small{n:02d}.png")
            (tmp_path / f"bad{n:02d}.png").write_bytes(b"?")
        out = call("--check", str(tmp_path))[1]
        assert out.count("  bad") == 30
        assert out.count("  small") == check.MAX_LISTED
        assert out.count("  and 10 more") == 2  # too small, and sizes

    def test_nothing_to_check(self, call, tmp_path):
        assert "no such folder" in call("--check", "missing")[2]
        (tmp_path / "empty").mkdir()
        assert "no pictures" in call("--check", "empty")[2]

    def test_what_was_fetched_and_drawn_passes(self, call, tmp_path):
        call("--source", "synthetic", "--count", "9", "--dest", "drawn")
        code, out, _ = call("--check", "drawn")
        assert code == 0
        assert "9 pictures, 0 other files" in out
        assert "  178x218: 9" in out


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """The real command line, as a user types it."""
    return subprocess.run(
        [sys.executable, str(COMMAND), *arguments], cwd=cwd, capture_output=True, text=True, timeout=60
    )


class TestCommandLine:
    @pytest.mark.parametrize(
        ("arguments", "say"),
        [
            (["--coutn", "5"], "--coutn"),
            (["--count", "many"], "--count"),
            (["--count", "0"], "--count=0"),
            (["--source", "imagenet"], "--source"),
            (["--source", "synthetic"], "--count"),
            (["--source", "synthetic", "--count", "3", "--url", "http://x"], "--url"),
            (["--check", ".", "--keep_archive"], "--keep_archive"),
            (["--check", ".", "--dest", "x"], "--dest"),
            (["--check", ".", "--source", "celeba"], "--source"),
            (["--check", ".", "--crop_size", "0"], "--crop_size=0"),
            (["--crop_size", "64"], "--crop_size"),
            (["--archive", "x.zip", "--url", "http://x"], "--archive with --url"),
            (["--url", "ftp://x"], "--url=ftp://x"),
            (["--dest", "gs://bucket/faces"], "--dest=gs://bucket/faces"),
            (["extra"], "extra"),
        ],
    )
    def test_what_makes_no_sense(self, fails, drive, arguments, say):
        assert say in fails(*arguments)
        assert drive.seen == []

    def test_help_is_quick_and_complete(self, tmp_path):
        begun = time.monotonic()
        done = command("--help", cwd=tmp_path)
        assert done.returncode == 0
        assert time.monotonic() - begun < 5
        for option in ("dest", "url", "archive", "keep_archive", "count", "source", "check", "crop_size"):
            assert f"--{option}" in done.stdout

    def test_draw_and_check(self, tmp_path):
        done = command("--source", "synthetic", "--count", "4", "--dest", "a/b", cwd=tmp_path)
        assert done.returncode == 0
        assert len(contents(tmp_path / "a" / "b")) == 4
        assert command("--check", "a", cwd=tmp_path).returncode == 0
        (tmp_path / "a" / "bad.jpg").write_bytes(b"?")
        done = command("--check", "a", cwd=tmp_path)
        assert done.returncode == 2
        assert "bad.jpg: no picture" in done.stdout
        assert "Traceback" not in done.stderr

    def test_bad_archive(self, tmp_path):
        (tmp_path / "page.zip").write_text(QUOTA)
        done = command("--archive", "page.zip", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("download_data: page.zip: is a web page, not a zip: ")
        assert os.listdir(tmp_path) == ["page.zip"]

    def test_terminated_while_fetching(self, drive, tmp_path, spawn):
        """SIGTERM: exit 75, and what arrived is kept for the next call."""
        drive.answers = iter([stalling])
        script = (
            "import signal, sys, download_data as d; from srez.download.fetch import Archive;"
            "signal.signal(signal.SIGTERM, signal.default_int_handler);"
            f"sys.exit(d.main([], Archive(**{dataclasses.asdict(archive_of(ZIP, drive.url))!r})))"
        )
        paths = os.pathsep.join([str(COMMAND.parent), os.environ.get("PYTHONPATH", "")])
        child = spawn(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": paths},
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

    def test_celeba_is_what_the_world_calls_celeba(self):
        celeba = CELEBA
        assert (celeba.size, celeba.members) == (1_443_490_838, 202_599)
        assert celeba.sha256 == "46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74"
        assert celeba.drive_url == (
            "https://drive.google.com/uc?export=download&id=0B7EVK8r0v71pZjFTYXZWM3FlRnM"
        )

    def test_marker_is_plain_json(self, call, tmp_path):
        call("--count", "2")
        marker = json.loads((tmp_path / "dataset" / MARKER).read_text())
        assert marker == {"source": "celeba", "files": {"000001.jpg": 20007, "000002.jpg": 20014}}
