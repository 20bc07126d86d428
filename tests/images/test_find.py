"""Which files of a folder are pictures."""

import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from srez.data.sources import Framing, folder_source
from srez.errors import UserError
from srez.images import find
from srez.images.picture import UnusablePicture


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * len(name))


class TestList:
    def test_any_nesting_and_any_case_sorted_with_sizes(self, tmp_path):
        names = ["B.JPG", "a.jpeg", "deep/c.Png", "deep/er/still/d.WEBP", "deep/er/e.bmp", "with space/f.jpg"]
        names += ["g.jfif", "IMG_1.HEIC", "h.heif", "i.hif", "j.Avif"]
        touch(tmp_path, *names)
        found, others = find.list_pictures(str(tmp_path))
        assert list(found.items()) == [(name, len(name)) for name in sorted(names)]
        assert others == Counter()

    @pytest.mark.parametrize("end", ["", "/", "//"])
    def test_a_slash_at_the_end_changes_nothing(self, tmp_path, end):
        touch(tmp_path, "deep/a.jpg")
        assert find.list_pictures(f"{tmp_path}{end}")[0] == {"deep/a.jpg": 10}

    def test_the_current_folder(self, tmp_path, monkeypatch):
        touch(tmp_path, "deep/a.jpg", "b.png")
        monkeypatch.chdir(tmp_path)
        assert find.list_pictures(".") == ({"b.png": 5, "deep/a.jpg": 10}, Counter())

    def test_other_files_are_counted_and_hidden_ones_passed_over(self, tmp_path):
        touch(tmp_path, "a.jpg", "notes.txt", "deep/list.csv", "jpg", "a.jpg.part", "b.MOV", "deep/c.mov")
        touch(tmp_path, "Dr. No and his island")
        touch(tmp_path, ".b.jpg", ".notes", ".hidden/c.jpg", "deep/.d.png", ".a.jpg.7.tmp")
        found, others = find.list_pictures(str(tmp_path))
        assert found == {"a.jpg": 5}
        assert others == {".txt": 1, ".csv": 1, ".part": 1, ".mov": 2, "": 2}

    def test_more_endings_for_enlarging(self, tmp_path):
        touch(tmp_path, "a.jpg", "b.TIFF", "c.gif")
        found, _ = find.list_pictures(str(tmp_path), find.MORE_EXTENSIONS)
        assert found == {"a.jpg": 5, "b.TIFF": 6, "c.gif": 5}

    def test_a_folder_named_like_a_picture_is_a_folder(self, tmp_path):
        touch(tmp_path, "album.jpg/a.jpg")
        assert find.list_pictures(str(tmp_path)) == ({"album.jpg/a.jpg": 15}, Counter())

    def test_links_are_followed(self, tmp_path):
        touch(tmp_path, "elsewhere/a.jpg", "elsewhere/b.jpg", "here/c.jpg")
        (tmp_path / "here" / "more").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "here" / "one.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
        found, _ = find.list_pictures(str(tmp_path / "here"))
        assert found == {"c.jpg": 10, "more/a.jpg": 15, "more/b.jpg": 15, "one.jpg": 15}

    def test_a_hidden_folder_may_be_linked_to(self, tmp_path):
        touch(tmp_path, ".store/a.jpg")
        (tmp_path / "faces").symlink_to(".store")
        assert find.list_pictures(str(tmp_path))[0] == {"faces/a.jpg": 12}

    @pytest.mark.parametrize("target", [".", "..", "../..", "/"])
    def test_a_link_to_a_folder_above_ends(self, tmp_path, target):
        touch(tmp_path, "set/deep/a.jpg", "set/b.jpg", "outside.jpg")
        (tmp_path / "set" / "deep" / "up").symlink_to(target)
        assert find.list_pictures(str(tmp_path / "set"))[0] == {"b.jpg": 9, "deep/a.jpg": 14}

    def test_folders_that_link_to_each_other_end_and_each_comes_once(self, tmp_path):
        names = [f"set{i}/{i}.jpg" for i in range(12)]
        touch(tmp_path, *names)
        for i in range(12):
            for j in range(12):
                if i != j:
                    (tmp_path / f"set{i}" / f"to{j}").symlink_to(tmp_path / f"set{j}")
        found, _ = find.list_pictures(str(tmp_path))
        assert sorted(os.path.basename(name) for name in found) == sorted(f"{i}.jpg" for i in range(12))

    def test_a_link_to_nowhere_is_listed_with_size_0(self, tmp_path):
        touch(tmp_path, "a.jpg")
        (tmp_path / "b.jpg").symlink_to("moved_away.jpg")
        (tmp_path / "c.jpg").symlink_to("c.jpg")
        assert find.list_pictures(str(tmp_path)) == ({"a.jpg": 5, "b.jpg": 0, "c.jpg": 0}, Counter())

    def test_a_training_names_a_link_to_nowhere_and_goes_on(self, tmp_path):
        Image.new("RGB", (128, 128)).save(tmp_path / "a.png")
        (tmp_path / "b.png").symlink_to("moved_away.png")
        source = folder_source(str(tmp_path), Framing())
        assert source.window(0).shape == (128, 128, 3)
        with pytest.raises(UnusablePicture, match="No such file"):
            source.window(1)

    def test_no_such_folder_holds_nothing(self, tmp_path):
        assert find.list_pictures(str(tmp_path / "missing")) == ({}, Counter())
        assert find.lacks_pictures(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ({".txt": 3, ".mov": 12}, "15 other files passed over (12 .mov, 3 .txt)"),
        ({".xmp": 1}, "1 other file passed over (1 .xmp)"),
        ({".b": 2, ".a": 2, ".c": 2000}, "2,004 other files passed over (2,000 .c, 2 .a, 2 .b)"),
        (
            {".a": 7, ".b": 6, ".c": 5, ".d": 4, ".e": 3, ".f": 2, ".g": 1, "": 9},
            "37 other files passed over (7 .a, 6 .b, 5 .c, 4 .d, 3 .e, 12 of other kinds)",
        ),
        ({"": 2}, "2 other files passed over (of no known kind)"),
    ],
)
def test_what_is_told_of_other_files(others, told):
    assert find.passed_over(Counter(others)) == told


SYSTEM = ["@eaDir", "__MACOSX", "$RECYCLE.BIN", "$Recycle.Bin", "System Volume Information", "lost+found"]


def test_a_systems_folders_are_not_searched(tmp_path):
    touch(tmp_path, "a.jpg", "deep/b.jpg", "eaDir/c.jpg", "MACOSX/d.jpg")
    for name in SYSTEM:
        touch(tmp_path, f"{name}/x.jpg", f"deep/{name}/more/x.jpg", f"only/{name}/x.jpg", f"{name}/x.txt")
    names = ["MACOSX/d.jpg", "a.jpg", "deep/b.jpg", "eaDir/c.jpg"]
    found, others = find.list_pictures(str(tmp_path))
    assert (list(found), others) == (names, Counter())
    assert not find.lacks_pictures(str(tmp_path))
    assert find.lacks_pictures(str(tmp_path / "only"))
    found, problems, _ = find.find_pictures([f"{tmp_path}/*", f"{tmp_path}/**/*.jpg"])
    assert sorted(os.path.relpath(path, tmp_path) for path in found) == names
    assert problems == [(f"{tmp_path}/only", "holds no pictures")]
    # one that is named is
    assert find.list_pictures(str(tmp_path / "@eaDir"))[0] == {"x.jpg": 12}
    assert list(find.find_pictures([f"{tmp_path}/@eaDir/*.jpg"])[0].values()) == ["x.jpg"]


class TestFoldersThatCannotBeListed:
    @pytest.fixture
    def locked(self, tmp_path, lock) -> str:
        """A folder with pictures, one below, and one in a folder that may not be listed; the latter."""
        touch(tmp_path, "a.jpg", "deep/b.jpg", "locked/c.jpg", "lost+found/d.jpg")
        lock(tmp_path / "locked", tmp_path / "lost+found")
        return str(tmp_path / "locked")

    def test_a_dataset_with_one_is_refused(self, tmp_path, locked):
        for folder in (str(tmp_path), locked):
            with pytest.raises(PermissionError) as error:
                find.list_pictures(folder)
            assert error.value.filename == locked
        for folder, look in (
            (str(tmp_path), lambda folder: folder_source(folder, Framing())),
            (locked, lambda folder: folder_source(folder, Framing())),
            (locked, find.lacks_pictures),
        ):
            with pytest.raises(UserError) as error:
                look(folder)
            assert str(error.value) == (
                f"dataset '{folder}' cannot be listed ({locked}: Permission denied): "
                "change its permissions, or choose one that you may read and write"
            )
        assert find.list_pictures(str(tmp_path / "deep"))[0] == {"b.jpg": 10}

    def test_pictures_beside_it_are_enlarged_nevertheless(self, tmp_path, locked):
        denied = f"cannot be listed ({locked}: Permission denied)"
        for word, names, reason in [
            (str(tmp_path), ["a.jpg", "deep/b.jpg"], denied),
            (locked, [], "cannot be listed (Permission denied)"),
            (f"{tmp_path}/*/*.jpg", ["b.jpg"], denied),
            (f"{locked}/*.jpg", [], denied),
        ]:
            found, problems, _ = find.find_pictures([word])
            assert (list(found.values()), problems) == (names, [(word, reason)])
        assert find.find_pictures([f"{tmp_path}/d*/*.jpg"])[1] == []


def test_what_is_no_folder_of_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "faces.zip", "img_align_celeba.zip", "face.JPG", "notes", "folder/a.jpg")
    find.require_dataset("folder")
    find.require_dataset("gs://bucket/faces")
    for name, text in [
        ("faces.zip", "is a file, not a folder: unpack it, then name the folder"),
        (
            "img_align_celeba.zip",
            "is a file, not a folder: unpack it with python3 download_data.py "
            "--archive img_align_celeba.zip, then name the folder",
        ),
        ("face.JPG", "is a file, not a folder: name the folder that it is in"),
        ("notes", "is a file, not a folder: name a folder of pictures"),
        ("https://x.org/a.zip", "is a web address: fetch it first, then name what you have got"),
        ("missing", "is not there: name a folder of pictures with --dataset, fetch CelebA with"),
    ]:
        with pytest.raises(UserError) as error:
            find.require_dataset(name)
        assert str(error.value).startswith(f"dataset '{name}' {text}")


def test_a_web_address_is_no_picture_and_stops_no_other(tmp_path):
    touch(tmp_path, "a.jpg")
    found, problems, _ = find.find_pictures(["https://x.org/b.jpg", str(tmp_path / "a.jpg")])
    assert list(found.values()) == ["a.jpg"]
    assert problems == [("https://x.org/b.jpg", "a web address, which srez does not fetch")]
    assert find.nothing_found(problems).remedy == "fetch it first, then name what you have got"
    other = find.nothing_found([*problems, ("x", "not there")])
    assert other.remedy == "name pictures that are there and may be read"


def test_folders_with_other_files_are_told_three_times_and_counted(tmp_path):
    for n in range(5):
        touch(tmp_path, f"{n}/a.jpg", f"{n}/b.txt")
    told = [f"{tmp_path}/{n}: 1 other file passed over (1 .txt)" for n in range(5)]
    words = [str(tmp_path / str(n)) for n in range(5)]
    assert find.find_pictures(words)[2] == [*told[:3], "and 2 more folders with other files"]
    assert find.find_pictures(words[:3])[2] == told[:3]


def test_folders_without_pictures_and_with_other_files(tmp_path):
    touch(tmp_path, "films/a.mov", "films/b.mov", "mixed/c.jpg", "mixed/d.txt", "pure/e.jpg")
    (tmp_path / "empty").mkdir()
    words = [str(tmp_path / name) for name in ("films", "mixed", "pure", "empty")]
    found, problems, passed_over = find.find_pictures(words)
    assert list(found.values()) == ["c.jpg", "e.jpg"]
    assert problems == [
        (words[0], "holds no pictures; 2 other files passed over (2 .mov)"),
        (words[3], "holds no pictures"),
    ]
    assert passed_over == [f"{words[1]}: 1 other file passed over (1 .txt)"]
