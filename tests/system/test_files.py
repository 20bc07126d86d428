"""Files: whole or not at all, whatever goes wrong while they are written."""

import os

import pytest

from srez.system import files


class TestWhole:
    def test_replaces_and_leaves_nothing_beside_it(self, tmp_path):
        path = tmp_path / "a.bin"
        for data in (b"old", b"newer", b""):
            files.write_whole(str(path), data)
            assert path.read_bytes() == data
        assert os.listdir(tmp_path) == ["a.bin"]

    def test_a_name_without_a_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        files.write_whole("a.bin", b"data")
        assert (tmp_path / "a.bin").read_bytes() == b"data"

    @pytest.mark.parametrize("broken", ["fsync", "replace"])
    def test_the_old_file_stays_when_writing_fails(self, tmp_path, monkeypatch, broken):
        path = tmp_path / "a.bin"
        path.write_bytes(b"old")

        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, broken, fail)
        with pytest.raises(OSError, match="No space left"):
            files.write_whole(str(path), b"new")
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["a.bin"]

    def test_a_really_full_disk(self):
        if not os.path.exists("/dev/full"):
            pytest.skip("no /dev/full here")
        with pytest.raises(OSError, match="No space left"):
            files.append("/dev/full", "x")

    def test_a_missing_folder_is_told(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            files.write_whole(str(tmp_path / "missing" / "a.bin"), b"data")
        assert os.listdir(tmp_path) == []
