"""Unpacking: nothing leaves the folder, pictures appear whole or not at all, what the user has stays."""

import itertools
import json
import os
import stat
import zipfile
from pathlib import Path

import pytest
from fake_drive import MEMBERS, PICTURES, ZIP, contents, in_folder, zip_of

from srez.download import unpack as unpacking
from srez.download.unpack import MARKER, STAGE, free_bytes


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


def test_marker_is_plain_json(call, tmp_path):
    call("--count", "2")
    marker = json.loads((tmp_path / "dataset" / MARKER).read_text())
    assert marker == {"source": "celeba", "files": {"000001.jpg": 200007, "000002.jpg": 200014}}
