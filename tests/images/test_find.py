"""Which files of a folder are pictures."""

import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from srez.data.sources import Framing, folder_source
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
        found, sizes, others = find.list_pictures(str(tmp_path))
        assert found == sorted(names)
        assert sizes == [len(name) for name in found]
        assert others == Counter()

    @pytest.mark.parametrize("end", ["", "/", "//"])
    def test_a_slash_at_the_end_changes_nothing(self, tmp_path, end):
        touch(tmp_path, "deep/a.jpg")
        assert find.list_pictures(f"{tmp_path}{end}")[0] == ["deep/a.jpg"]

    def test_the_current_folder(self, tmp_path, monkeypatch):
        touch(tmp_path, "deep/a.jpg", "b.png")
        monkeypatch.chdir(tmp_path)
        assert find.list_pictures(".") == (["b.png", "deep/a.jpg"], [5, 10], Counter())

    def test_other_files_are_counted_and_hidden_ones_passed_over(self, tmp_path):
        touch(tmp_path, "a.jpg", "notes.txt", "deep/list.csv", "jpg", "a.jpg.part", "b.MOV", "deep/c.mov")
        touch(tmp_path, "Dr. No and his island")
        touch(tmp_path, ".b.jpg", ".notes", ".hidden/c.jpg", "deep/.d.png", ".a.jpg.7.tmp")
        found, _, others = find.list_pictures(str(tmp_path))
        assert found == ["a.jpg"]
        assert others == {".txt": 1, ".csv": 1, ".part": 1, ".mov": 2, "": 2}

    def test_more_endings_for_enlarging(self, tmp_path):
        touch(tmp_path, "a.jpg", "b.TIFF", "c.gif")
        assert find.list_pictures(str(tmp_path), find.MORE_EXTENSIONS)[0] == [*("a.jpg", "b.TIFF", "c.gif")]

    def test_a_folder_named_like_a_picture_is_a_folder(self, tmp_path):
        touch(tmp_path, "album.jpg/a.jpg")
        assert find.list_pictures(str(tmp_path)) == (["album.jpg/a.jpg"], [15], Counter())

    def test_links_are_followed(self, tmp_path):
        touch(tmp_path, "elsewhere/a.jpg", "elsewhere/b.jpg", "here/c.jpg")
        (tmp_path / "here" / "more").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "here" / "one.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
        found, sizes, _ = find.list_pictures(str(tmp_path / "here"))
        assert found == ["c.jpg", "more/a.jpg", "more/b.jpg", "one.jpg"]
        assert sizes == [10, 15, 15, 15]

    def test_a_hidden_folder_may_be_linked_to(self, tmp_path):
        touch(tmp_path, ".store/a.jpg")
        (tmp_path / "faces").symlink_to(".store")
        assert find.list_pictures(str(tmp_path))[0] == ["faces/a.jpg"]

    @pytest.mark.parametrize("target", [".", "..", "../..", "/"])
    def test_a_link_to_a_folder_above_ends(self, tmp_path, target):
        touch(tmp_path, "set/deep/a.jpg", "set/b.jpg", "outside.jpg")
        (tmp_path / "set" / "deep" / "up").symlink_to(target)
        assert find.list_pictures(str(tmp_path / "set"))[0] == ["b.jpg", "deep/a.jpg"]

    def test_folders_that_link_to_each_other_end_and_each_comes_once(self, tmp_path):
        names = [f"set{i}/{i}.jpg" for i in range(12)]
        touch(tmp_path, *names)
        for i in range(12):
            for j in range(12):
                if i != j:
                    (tmp_path / f"set{i}" / f"to{j}").symlink_to(tmp_path / f"set{j}")
        found, _, _ = find.list_pictures(str(tmp_path))
        assert sorted(os.path.basename(name) for name in found) == sorted(f"{i}.jpg" for i in range(12))

    def test_a_link_to_nowhere_is_listed_with_size_0(self, tmp_path):
        touch(tmp_path, "a.jpg")
        (tmp_path / "b.jpg").symlink_to("moved_away.jpg")
        (tmp_path / "c.jpg").symlink_to("c.jpg")
        assert find.list_pictures(str(tmp_path)) == (["a.jpg", "b.jpg", "c.jpg"], [5, 0, 0], Counter())

    def test_a_training_names_a_link_to_nowhere_and_goes_on(self, tmp_path):
        Image.new("RGB", (128, 128)).save(tmp_path / "a.png")
        (tmp_path / "b.png").symlink_to("moved_away.png")
        source = folder_source(str(tmp_path), Framing())
        assert source.window(0).shape == (128, 128, 3)
        with pytest.raises(UnusablePicture, match="No such file"):
            source.window(1)

    def test_no_such_folder_holds_nothing(self, tmp_path):
        assert find.list_pictures(str(tmp_path / "missing")) == ([], [], Counter())
        assert not find.has_pictures(str(tmp_path / "missing"))


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
