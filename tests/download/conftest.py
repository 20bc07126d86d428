"""What the tests of downloads share: the server, and download_data.py in this process."""

import os
import threading
from pathlib import Path

import pytest
from fake_drive import MEMBERS, ZIP, Drive, archive_of

import download_data
from srez.download.fetch import RetryPolicy


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
        usual = {"connect": 5, "silence": 5, "sleep": waits}
        archive = archive_of(data, drive_url, members)
        code = download_data.main(list(arguments), archive, RetryPolicy(**usual | policy))
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
