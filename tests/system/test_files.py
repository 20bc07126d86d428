"""Files: whole or not at all, whatever goes wrong; what cannot be seen is said; both kinds do the same."""

import errno
import os
from pathlib import Path

import pytest

from srez.errors import UserError
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


class TestSeen:
    def test_what_is_there_and_what_is_not(self, tmp_path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").write_bytes(b"")
        (tmp_path / "loop").symlink_to("loop")
        (tmp_path / "nowhere").symlink_to("gone")
        for name, there, folder in [
            ("folder", True, True),
            ("file", True, False),
            ("missing", False, False),
            ("file/x", False, False),
            ("loop", False, False),
            ("nowhere", False, False),
            ("a" * 300, False, False),
            ("a\0b", False, False),
        ]:
            path = str(tmp_path / name)
            assert (files.exists(path), files.is_folder(path)) == (there, folder), name
            assert files.names(path) == []

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
    def test_what_cannot_be_seen_is_not_taken_for_what_is_not_there(self, tmp_path, monkeypatch, number):
        stat, path = os.stat, str(tmp_path / "x")

        def broken(name, *rest, **options):
            if name == path:
                raise OSError(number, os.strerror(number), name)
            return stat(name, *rest, **options)

        monkeypatch.setattr(os, "stat", broken)
        for look in (files.exists, files.is_folder, files.names):
            assert not look(str(tmp_path / "y"))
            with pytest.raises(OSError, match=os.strerror(number)) as error:
                look(path)
            assert error.value.filename == path

    def test_a_walk_tells_of_a_folder_that_cannot_be_listed(self, tmp_path, lock):
        for name in ("a/b", "locked", "z"):
            (tmp_path / name).mkdir(parents=True)
        lock(tmp_path / "locked")
        told: list[OSError] = []
        walked = [Path(top).name for top, _, _ in files.walk(str(tmp_path), told.append)]
        assert walked == [tmp_path.name, "a", "b", "z"]
        assert [(error.errno, error.filename) for error in told] == [(errno.EACCES, f"{tmp_path}/locked")]
        with pytest.raises(PermissionError):
            list(files.walk(str(tmp_path)))
        assert list(files.walk(str(tmp_path / "missing"))) == []


@pytest.fixture(params=["local", "ram"])
def root(request, tmp_path) -> str:
    """A folder that is not there yet, on this machine or in TensorFlow's memory."""
    return str(tmp_path / "root") if request.param == "local" else f"ram://{tmp_path.name}"


class TestBothKinds:
    def test_files_and_folders(self, root):
        folder, path = files.join(root, "sub"), files.join(root, "sub/a.txt")
        assert path == f"{root}/sub/a.txt"
        assert [files.exists(root), files.names(root), list(files.walk(root))] == [False, [], []]
        files.make_folder(folder)
        files.make_folder(folder)
        files.write_whole(path, b"old")
        files.write_whole(path, b"new")
        files.append(path, "er\n")
        assert (files.read_bytes(path), files.read_bytes(path, 2), files.size(path)) == (b"newer\n", b"ne", 6)
        assert [files.exists(p) for p in (folder, path, f"{path}x")] == [True, True, False]
        assert [files.is_folder(p) for p in (folder, path, f"{path}x")] == [True, False, False]
        files.rename(path, f"{folder}/b.txt")
        files.write_whole(f"{root}/c.txt", b"")
        assert files.names(root) == ["c.txt", "sub"]
        assert files.matches(f"{root}/*.txt") == [f"{root}/c.txt"]
        walked = [(top.rstrip("/"), names) for top, _, names in files.walk(root)]
        assert walked == [(root, ["c.txt"]), (folder, ["b.txt"])]
        with files.local_copy(f"{folder}/b.txt") as local:
            assert Path(local).read_bytes() == b"newer\n"
        files.remove(f"{folder}/b.txt")
        assert files.names(folder) == []

    def test_an_error_while_a_file_is_written_leaves_the_old_one_alone(self, root):
        path = files.join(root, "a.bin")
        files.make_folder(root)
        files.write_whole(path, b"old")

        def break_off() -> None:
            with files.whole_file(path) as file:
                file.write(b"ne")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            break_off()
        assert (files.names(root), files.read_bytes(path)) == (["a.bin"], b"old")


def test_what_is_of_this_machine(tmp_path):
    here, there = str(tmp_path), "gs://bucket/x"
    told = [files.needs_tensorflow(*paths) for paths in ([], [here], [there], [here, there])]
    assert told == [False, False, True, True]
    for path in (here, None):
        files.require_local("dest", path, "copy it")
    with pytest.raises(UserError) as error:
        files.require_local("dest", there, "copy it")
    assert str(error.value) == "--dest=gs://bucket/x: copy it"
    (tmp_path / "link").symlink_to(tmp_path)
    assert files.real(f"{here}/link") == files.real(here)
    assert files.real(there) == there


def test_the_disk_of_what_is_not_there_yet_is_that_of_the_folder_above(tmp_path):
    assert files.disk(str(tmp_path / "x" / "y")) == files.disk(tmp_path) == os.stat(tmp_path).st_dev
    assert files.disk("ram://x") is None


def test_which_folders_can_be_written(tmp_path, monkeypatch):
    assert [files.can_write(folder) for folder in (str(tmp_path), "ram://x")] == [True, True]
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert [files.can_write(folder) for folder in (str(tmp_path), "ram://x")] == [False, True]
