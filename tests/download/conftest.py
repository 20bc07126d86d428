"""What the tests of downloads share: the server, and download_data.py in this process."""

import os
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from fake_drive import MEMBERS, ZIP, Drive, archive_of

import download_data
from srez.download import fetch


@pytest.fixture
def drive(monkeypatch):
    """A server on 127.0.0.1; what this process asks of Google Drive is sent there."""
    monkeypatch.setenv("NO_PROXY", "*")
    server = Drive()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    send = requests.adapters.HTTPAdapter.send

    def redirected(self, request, **options):
        if urlsplit(request.url).hostname in ("drive.google.com", "drive.usercontent.google.com"):
            request.url = (
                urlsplit(request.url)._replace(scheme="http", netloc=urlsplit(server.url).netloc).geturl()
            )
        return send(self, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", redirected)
    yield server
    server.over.set()
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture
def waits(monkeypatch):
    """The seconds between tries, which are only noted; no server is waited for longer than five seconds."""
    noted = []
    monkeypatch.setattr(fetch, "sleep", noted.append)
    monkeypatch.setattr(fetch, "TIMEOUT", (5, 5))
    return noted


@pytest.fixture
def call(tmp_path, drive, waits, capsys):
    """Run the command in this process: call(*arguments, data=...) -> (exit code, stdout, message)."""

    def run(*arguments, data=ZIP, members=MEMBERS):
        drive.data = data
        os.chdir(tmp_path)
        code = download_data.main(list(arguments), archive_of(data, members))
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
