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
    f"{n:06d}.jpg": np.random.default_rng(n).integers(0, 256, 200_000 + 7 * n, np.uint8).tobytes()
    for n in range(1, 13)
}
MEMBERS = len(PICTURES)
# Google Drive's pages are one line.
QUOTA = (
    "<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>"
    '<p class="uc-error-caption">Sorry</p><p class="uc-error-subcaption">Too many users have viewed or '
    "downloaded this file recently.\x1b[31m Please</p></body></html>"
)
FORM = (
    "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>"
    '<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">'
    '<input type="submit" value="Download anyway"/><input type="hidden" name="id" value="THE_ID">'
    '<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="5f2c"></form>'
)


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


def archive_of(data: bytes, members: int = MEMBERS) -> Archive:
    return Archive(
        name="img_align_celeba.zip",
        page="https://example.invalid/celeba",
        drive_id="THE_ID",
        size=len(data),
        md5=hashlib.md5(data).hexdigest(),
        sha256=hashlib.sha256(data).hexdigest(),
        folder="img_align_celeba",
        members=members,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def part_of(tmp_path: Path) -> Path:
    """What is kept of an unfinished download; where nothing is, a name under which gdown would go on."""
    parts = list(tmp_path.glob("img_align_celeba.zip.part????????.part"))
    assert len(parts) <= 1
    return parts[0] if parts else tmp_path / "img_align_celeba.zip.part12345678.part"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        self.server.seen.append((address.path, self.headers.get("Range")))
        if address.path == "/uc":
            assert query == {"id": "THE_ID"}
            self.page(FORM, {"Set-Cookie": "scan=seen; Path=/; Domain=.google.com"})
        elif address.path == "/download" and query != {"id": "THE_ID", "confirm": "t", "uuid": "5f2c"}:
            self.reply(403, {}, b"no form, no file")
        else:
            next(self.server.answers, whole)(self)

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
    """Google Drive, and under other addresses a mirror; `answers` are what requests for the file get."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.data, self.answers, self.seen = ZIP, iter(()), []
        self.over = threading.Event()  # lets slow answers end

    def handle_error(self, *args) -> None:
        """A client that left is no error."""

    def ranges(self) -> list[str]:
        """The Range headers of all requests."""
        return [asked for _, asked in self.seen if asked]


# ---- what the server can answer when it is asked for the file ----------------------------------------


def serve(handler, *, ranges=True, until=None, headers=None, data=None):
    """The file as an honest server gives it, but for what the options say; cut off at byte `until`."""
    data = handler.server.data if data is None else data
    asked = handler.headers.get("Range") if ranges else None
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
    head = {"Content-Type": "application/octet-stream", "Content-Disposition": 'attachment; filename="a.zip"'}
    if asked:
        head["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
    head |= {"Content-Length": len(data) - start} | (headers or {})
    handler.reply(206 if asked else 200, head, data[start:until])


whole = serve


def answer(**options):
    return lambda handler: serve(handler, **options)


def page(text, status=200):
    return lambda handler: handler.page(text, status=status)


def status(code):
    return lambda handler: handler.reply(code, {"Content-Type": "text/plain"}, b"...")


def silent(handler):
    handler.server.over.wait(10)


def stalling(handler):
    """Half of the file, then nothing."""
    serve(handler, until=len(handler.server.data) // 2)
    handler.wfile.flush()
    handler.server.over.wait(10)
