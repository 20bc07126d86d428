"""Fetch one known file over HTTP: resumed, retried, checked; the pages of Google Drive are understood."""

import contextlib
import email.utils
import hashlib
import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from srez.download.drive import PAGE_LIMIT, Refused, answer_to, looks_like_page, quote
from srez.errors import UserError
from srez.system.files import named
from srez.system.screen import progress

CHUNK = 1 << 20  # bytes
MAX_REDIRECTS, MAX_FORMS = 10, 3  # that one answer may take; forms are Google Drive's
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses that may be gone in a moment


@dataclass(frozen=True)
class Archive:
    """What is known of a zip beforehand, so that whatever arrives can be checked."""

    name: str
    page: str  # where people get it by hand
    drive_id: str
    size: int  # bytes
    md5: str  # told to people, who find it on other pages; sha256 is what is checked
    sha256: str
    folder: str  # inside the zip
    members: int  # pictures
    drive: str = "https://drive.google.com"

    @property
    def drive_url(self) -> str:
        return f"{self.drive}/uc?export=download&id={self.drive_id}"


CELEBA = Archive(
    name="img_align_celeba.zip",
    page="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    drive_id="0B7EVK8r0v71pZjFTYXZWM3FlRnM",
    size=1_443_490_838,
    md5="00d2c5bc6d35e252742224ab0c1e8fcb",
    sha256="46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
    folder="img_align_celeba",
    members=202_599,
)


@dataclass(frozen=True)
class RetryPolicy:
    """How long a source is waited for, and how often it is asked again; times in seconds."""

    connect: float = 15.0
    silence: float = 30.0  # without a single byte
    window: float = 60.0  # over which the rate is judged
    slowest: float = 1024.0  # bytes per second; slower is as good as cut
    failures: int = 5  # in a row, without a byte gained
    tries: int = 100  # of one source in all, so that a byte at a time ends too
    first_wait: float = 1.0  # doubled with each failure in a row
    longest_wait: float = 60.0
    longest_retry_after: float = 600.0
    sleep: Callable[[float], None] = time.sleep


DEFAULT_POLICY = RetryPolicy()


class Broken(Exception):
    """A transfer failed, and the next try, after `wait` seconds, may not; `whole`: from the first byte."""

    def __init__(self, reason: str, wait: float = 0.0, whole: bool = False):
        super().__init__(reason)
        self.wait, self.whole = wait, whole


def fault_of(path: Path, archive: Archive) -> str:
    """Why a file is not the archive, "" if it is. Raises OSError."""
    with open(path, "rb") as file:
        if looks_like_page(file.read(64)):
            return "is a web page, not a zip"
        size = path.stat().st_size
        if size != archive.size:
            return f"has {size:,} bytes instead of {archive.size:,}"
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        return f"has sha256 {found[:12]}... instead of {archive.sha256[:12]}..."
    return ""


def kept_bytes(part: Path, archive: Archive) -> int:
    """Bytes of an earlier try that can be built on; a file longer than the archive is none."""
    size = part.stat().st_size if part.exists() else 0
    return size if size <= archive.size else 0


def fetch(archive: Archive, urls: Sequence[str], part: Path, policy: RetryPolicy = DEFAULT_POLICY) -> None:
    """Bring the archive into `part`, going on with what is there, from the first source that has it.

    Raises UserError with what every source said; what arrived stays in `part` for the next call.
    """
    refusals = []
    for url in urls:
        try:
            _fetch_from(url, archive, part, policy)
            return
        except Refused as refusal:
            refusals.append(f"{urlsplit(url).netloc}: {refusal}")
            print(f"not from {refusals[-1]}", flush=True)
    if kept := kept_bytes(part, archive):
        refusals.append(f"{kept:,} bytes are kept and the same command goes on from them")
    raise UserError(
        f"cannot fetch {archive.name}: {'; '.join(refusals)}",
        f"try again later, or fetch it by hand from {archive.page} (md5 {archive.md5}) "
        "and give it with --archive",
    )


def _fetch_from(url: str, archive: Archive, part: Path, policy: RetryPolicy) -> None:
    session = requests.Session()
    session.max_redirects = MAX_REDIRECTS
    # Lengths and ranges count bytes of the file, so it must not be compressed on the way.
    session.headers.update({"User-Agent": "Mozilla/5.0 (srez download_data)", "Accept-Encoding": "identity"})
    begun = best = kept_bytes(part, archive)
    failures, whole = 0, False
    with session:
        for _ in range(policy.tries):
            try:
                if whole or kept_bytes(part, archive) < archive.size:
                    _transfer(session, url, archive, part, policy, whole)
                if not (fault := fault_of(part, archive)):
                    return
                part.unlink()
                if begun == 0:
                    raise Refused(f"what it sends {fault}")
                raise Broken(f"the file put together {fault}")  # the fault may lie in what was there before
            except Broken as broken:
                kept, whole = kept_bytes(part, archive), broken.whole
                if kept == 0:
                    begun = best = 0
                failures = 1 if kept > best else failures + 1
                best = max(best, kept)
                if failures >= policy.failures:
                    raise Refused(f"{broken} ({failures} times in a row)") from None
                _pause(broken, failures, policy)
    raise Refused(f"the connection broke {policy.tries} times")


def _pause(broken: Broken, failures: int, policy: RetryPolicy) -> None:
    if broken.wait > policy.longest_retry_after:
        raise Refused(f"{broken}, and to be left alone for {broken.wait:.0f} s") from None
    wait = max(broken.wait, min(policy.first_wait * 2 ** (failures - 1), policy.longest_wait))
    print(f"{broken}: trying again in {wait:.0f} s", flush=True)
    policy.sleep(wait)


def _transfer(
    session: requests.Session, url: str, archive: Archive, part: Path, policy: RetryPolicy, whole: bool
) -> None:
    """One answer written behind what is there. Raises Refused, Broken, or OSError if it cannot be written."""
    offset = 0 if whole else kept_bytes(part, archive)
    response, head, rest = _ask(session, url, offset, policy)
    with response:
        start = _start_of(response, offset, archive)
        if start == 0 and head and not head.startswith(b"PK"):
            raise Refused(f"sends no zip but something that begins with {quote(repr(head[:24]))}")
        bar = progress(total=archive.size, initial=start, unit="B", unit_scale=True, desc=archive.name)
        with bar, named(str(part)), open(part, "r+b" if start else "wb") as file:
            file.seek(start)
            for piece in itertools.chain([head], rest):
                file.write(piece)
                bar.update(len(piece))
                if file.tell() > archive.size:
                    raise Refused(f"sends more than {archive.size:,} bytes")
            end = file.tell()
    if end < archive.size:
        raise Broken(f"the connection ended at {end:,} of {archive.size:,} bytes")


def _ask(
    session: requests.Session, url: str, offset: int, policy: RetryPolicy
) -> tuple[requests.Response, bytes, Iterator[bytes]]:
    """The answer that carries the file, its first bytes and the rest; Drive's form is answered on the way."""
    request = {"method": "GET", "url": url}
    for _ in range(MAX_FORMS):
        response = _send(session, request, offset, policy)
        pieces = _pieces(response, policy)
        head = _first(pieces, 64)
        is_html = "html" in response.headers.get("Content-Type", "")
        # A zip may have "<" in its middle, so where that was asked for, the type has to say HTML too.
        if not (looks_like_page(head) and (is_html or response.status_code != 206)):
            if response.status_code in (200, 206, 416):
                return response, head, pieces
            with response:
                raise Refused(f"answers HTTP {response.status_code} {quote(response.reason or '')}")
        with response:
            text = _first(itertools.chain([head], pieces), PAGE_LIMIT).decode("utf-8", "replace")
            request = answer_to(response, text)
    raise Refused("asks for confirmation again and again")


def _send(
    session: requests.Session, request: dict[str, Any], offset: int, policy: RetryPolicy
) -> requests.Response:
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    timeout = (policy.connect, policy.silence)
    try:
        response = session.request(**request, headers=headers, timeout=timeout, stream=True)
    except requests.TooManyRedirects:
        raise Refused("redirects in a circle") from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise Broken(_reason(error)) from None
    except requests.RequestException as error:
        raise Refused(quote(str(error))) from None
    if response.status_code in TRANSIENT:
        with response:
            wait = _seconds(response.headers.get("Retry-After", ""))
            raise Broken(f"the server asks to come later (HTTP {response.status_code})", wait)
    return response


def _pieces(response: requests.Response, policy: RetryPolicy) -> Iterator[bytes]:
    """The body as it comes, so that nothing is lost with a connection; Broken when it is cut or too slow."""
    since, gained = time.monotonic(), 0
    while True:
        try:
            piece = response.raw.read1(CHUNK, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Broken(_reason(error)) from None
        if not piece:
            return
        yield piece
        gained += len(piece)
        passed = time.monotonic() - since
        if passed >= policy.window:
            if gained < policy.slowest * passed:
                raise Broken(f"the server sends only {gained / passed:.0f} bytes per second")
            since, gained = time.monotonic(), 0


def _first(pieces: Iterator[bytes], size: int) -> bytes:
    """At least `size` bytes from the front of `pieces`, less if there are no more."""
    taken = b""
    while len(taken) < size and (piece := next(pieces, b"")):
        taken += piece
    return taken


def _start_of(response: requests.Response, offset: int, archive: Archive) -> int:
    """Which byte of the file the body begins with; checks the total size, where the answer tells it."""
    said = response.headers.get("Content-Range", "")
    total = re.search(r"/\s*(\d+)\s*$", said)
    if response.status_code == 200 and "Content-Encoding" not in response.headers:
        total = re.search(r"^(\d+)$", response.headers.get("Content-Length", ""))
    if total and int(total[1]) != archive.size:
        raise Refused(f"has another file: {int(total[1]):,} bytes instead of {archive.size:,}")
    if response.status_code == 200:
        return 0
    start = re.match(r"\s*bytes\s+(\d+)-", said)
    if response.status_code == 206 and start and int(start[1]) == offset:
        return offset
    raise Broken("the server did not go on where it was asked to, beginning again", whole=True)


def _reason(error: Exception) -> str:
    """Why a connection failed, without the names of Python objects around it."""
    text = str(error)
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError) or "timed out" in text:
        return "the server fell silent"
    causes = re.findall(r"\[(?:Errno -?\d+|SSL: \w+)\] ([\w ,-]+)", text) or re.findall(
        r"[A-Z]\w+ [a-z][\w ]+", text
    )
    return f"the connection failed ({quote(causes[-1]) if causes else type(error).__name__})"


def _seconds(retry_after: str) -> float:
    """A Retry-After header, seconds or a date, as seconds from now; 0 if it says nothing."""
    if re.fullmatch(r"\s*\d+\s*", retry_after):
        return float(retry_after)
    with contextlib.suppress(ValueError):
        then = email.utils.parsedate_to_datetime(retry_after)
        return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    return 0.0
