"""A small CelebA and a server of the tests' own that plays Google Drive, well and badly."""

import hashlib
import io
import threading
import urllib.parse
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from srez.download.fetch import Archive

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


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def part_of(tmp_path: Path) -> Path:
    return tmp_path / "img_align_celeba.zip.part"


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


# ---- what the server can answer when it is asked for the file ----------------------------------------


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
