"""Fetch one known file with gdown, from Google Drive or mirrors: gone on with, tried again, checked."""

import hashlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from urllib.parse import urlsplit

from srez.errors import UserError
from srez.system.files import named
from srez.system.screen import progress

TIMEOUT = (15.0, 30.0)  # seconds for a connection, and without a single byte
LONGEST_START = 300.0  # seconds to the first half megabyte: gdown answers confirmation pages without end
WAITS = (1, 2, 4, 8)  # seconds before the next tries, after failures in a row that gained no byte


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

    @property
    def drive_url(self) -> str:
        return f"https://drive.google.com/uc?export=download&id={self.drive_id}"


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


class Refused(Exception):
    """This source does not give the file, and asking again is useless; another source may."""


def fault_of(path: Path, archive: Archive) -> str:
    """Why a file is not the archive, "" if it is. Raises OSError."""
    with open(path, "rb") as file:
        if file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            return "is a web page, not a zip"
        size = path.stat().st_size
        if size != archive.size:
            return f"has {size:,} bytes instead of {archive.size:,}"
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        return f"has sha256 {found[:12]}... instead of {archive.sha256[:12]}..."
    return ""


def _parts(path: Path) -> Iterator[Path]:
    """What gdown keeps of `path` while it is not whole: one file, two where two processes fetched at once."""
    return path.parent.glob(f"{path.name}{'?' * 8}.part")


def kept_bytes(path: Path) -> int:
    """Bytes of `path` that an earlier call has fetched; it exists when it is whole, yet to be checked."""
    return sum(p.stat().st_size for p in (path, *_parts(path)) if p.exists())


def fetch(archive: Archive, urls: Sequence[str], path: Path) -> None:
    """Bring the archive to `path` from the first source that has it, going on with what an earlier call kept.

    Raises UserError with what every source said, OSError; what arrived is kept for the next call.
    """
    refusals = []
    for url in urls:
        try:
            return _fetch_from(url, archive, path)
        except Refused as refusal:
            refusals.append(f"{urlsplit(url).netloc}: {refusal}")
            print(f"not from {refusals[-1]}", flush=True)
    for part in _parts(path):
        if size := part.stat().st_size:
            refusals.append(f"{size:,} bytes are kept in {part}, delete it to begin again")
        else:
            part.unlink()
    raise UserError(
        f"cannot fetch {archive.name}: {'; '.join(refusals)}",
        f"try again later, or fetch it by hand from {archive.page} (md5 {archive.md5}) "
        "and give it with --archive",
    )


def _fetch_from(url: str, archive: Archive, path: Path) -> None:
    failures = 0
    while True:
        before = kept_bytes(path)
        if not (fault := _attempt(url, archive, path)):
            return
        failures = 0 if kept_bytes(path) > before else failures + 1
        if failures > len(WAITS):
            raise Refused(f"{fault} ({failures} times in a row)")
        wait = WAITS[max(failures - 1, 0)]
        print(f"{fault}: trying again in {wait} s", flush=True)
        sleep(wait)


def _attempt(url: str, archive: Archive, path: Path) -> str:
    """Why another try may bring the archive to `path`; "" when it is there. Raises Refused, OSError."""
    import gdown  # it and requests take a quarter of a second, which --help can do without
    import requests

    kept = kept_bytes(path)
    try:
        _download(url, archive, path, kept)
    except gdown.FileURLRetrievalError as error:
        said = quote(str(error.__context__ or error))
        meaning = f'Google Drive refuses ("{said}"): usually its daily quota for this file is used up'
        raise Refused(meaning) from None
    except requests.HTTPError as error:
        status = error.response.status_code
        said = f"answers HTTP {status} {quote(error.response.reason or '')}"
        if status != 429 and status < 500:
            raise Refused(said) from None
        return said
    except (requests.ConnectionError, requests.Timeout) as error:
        return _reason(str(error))
    except gdown.DownloadError as error:
        return quote(str(error).partition(".\n")[0])  # what follows names an option of gdown's command
    except gdown.DownloadCancelled:
        raise Refused(f"sends nothing of the file within {LONGEST_START:.0f} s") from None
    except (requests.RequestException, AssertionError, KeyError, ValueError) as error:
        # The last three are what gdown raises on pages that it does not expect.
        raise Refused(f"gives an answer that gdown does not know ({quote(repr(error))})") from None
    if not (fault := fault_of(path, archive)):
        return ""
    path.unlink()
    if kept:
        return f"the file put together {fault}"  # the fault may lie in what was there before
    raise Refused(f"what it sends {fault}")


def _download(url: str, archive: Archive, path: Path, kept: int) -> None:
    """Let gdown make `path`, if it is not there. Raises what gdown and requests do, Refused, OSError."""
    import gdown

    for part in _parts(path):
        if part.stat().st_size >= archive.size:
            part.replace(path)
    if path.exists():
        return
    too_late = threading.Event()
    clock = threading.Timer(LONGEST_START, too_late.set)

    def arrived(bytes_: int, total: int | None) -> None:
        clock.cancel()
        if bytes_ > archive.size or total not in (None, archive.size):
            raise Refused(f"has a web page or another file: {total or bytes_:,} bytes, not {archive.size:,}")
        bar.update(bytes_ - bar.n)

    bar = progress(total=archive.size, initial=kept, unit="B", unit_scale=True, desc=archive.name)
    clock.start()
    try:
        with bar, named(str(path)):
            options = {"quiet": True, "use_cookies": False, "resume": True, "timeout": TIMEOUT}
            gdown.download(url, str(path), progress=arrived, cancel=too_late, **options)
    except Refused:
        for part in _parts(path):
            os.truncate(part, kept)
        raise
    finally:
        clock.cancel()


def _reason(text: str) -> str:
    """Why a connection failed, without the names of Python objects around it."""
    if "timed out" in text:
        return "the server fell silent"
    causes = re.findall(r"(?:\] |')([A-Za-z][\w ,-]+)", text)
    return f"the connection failed ({quote(causes[-1] if causes else text)})"


def quote(text: str) -> str:
    """A server's words on a short line, without what could steer a terminal."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:100]
