"""A folder of pictures checked: damaged, too small, twice there."""

import numpy as np
import pytest
from fake_drive import QUOTA
from PIL import Image

from srez.download import check


def picture(seed: int, width: int = 150, height: int = 140) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Three good pictures, in several formats and depths."""
    path = tmp_path / "mine"
    (path / "deep" / "er").mkdir(parents=True)
    picture(1).save(path / "a.PNG")
    picture(2).convert("L").save(path / "deep" / "b.jpeg")
    picture(3, 128, 128).save(path / "deep" / "er" / "c.webp", lossless=True)
    (path / "notes.txt").write_text("not a picture")
    return path


def test_good_folder(call, folder):
    code, out, _ = call("--check", str(folder))
    assert code == 0
    assert ": 3 pictures; 1 other file passed over (1 .txt)\n" in out
    assert "damaged: 0" in out
    assert "smaller than 128x128: 0" in out
    assert "duplicates: 0" in out
    assert "  150x140: 2\n  128x128: 1" in out


def test_damaged_are_named_with_the_reason(call, folder):
    data = (folder / "deep" / "b.jpeg").read_bytes()
    (folder / "deep" / "cut.jpg").write_bytes(data[: len(data) // 2])
    (folder / "page.jpg").write_text(QUOTA)
    (folder / "empty.bmp").write_bytes(b"")
    code, out, message = call("--check", str(folder))
    assert code == 2
    assert "3 of 6 pictures cannot be used (3 damaged, 0 smaller than 128)" in message
    assert "damaged: 3\n  deep/cut.jpg: image file is truncated" in out
    assert "  empty.bmp: " in out
    assert "  page.jpg: no picture" in out


def test_too_small(call, folder):
    picture(4, 127, 300).save(folder / "thin.png")
    code, out, message = call("--check", str(folder))
    assert code == 2
    assert "1 of 4 pictures" in message
    assert "smaller than 128x128: 1\n  thin.png: 127x300" in out
    assert call("--check", str(folder), "--crop_size", "127")[0] == 0
    assert call("--check", str(folder), "--crop_size", "129")[0] == 2


def test_duplicates_by_bytes_and_by_pixels(call, folder):
    (folder / "deep" / "copy.png").write_bytes((folder / "a.PNG").read_bytes())
    picture(3, 128, 128).save(folder / "z.bmp")
    code, out, _ = call("--check", str(folder))
    assert code == 0  # they can be used
    assert "duplicates: 2\n" in out
    assert "  a.PNG = deep/copy.png\n" in out
    assert "  deep/er/c.webp = z.bmp (same pixels, other files)\n" in out


def test_long_lists_are_cut_but_the_damaged_all_named(call, tmp_path):
    for n in range(30):
        picture(n, 20, 20 + n).save(tmp_path / f"small{n:02d}.png")
        (tmp_path / f"bad{n:02d}.png").write_bytes(b"?")
    out = call("--check", str(tmp_path))[1]
    assert out.count("  bad") == 30
    assert out.count("  small") == check.MAX_LISTED
    assert out.count("  and 10 more") == 2  # too small, and sizes


def test_nothing_to_check(call, tmp_path):
    assert "--check=missing: is not there: name one" in call("--check", "missing")[2]
    (tmp_path / "empty").mkdir()
    assert "no pictures in it or below: they are" in call("--check", "empty")[2]
    (tmp_path / "empty" / "film.mov").write_bytes(b"")
    assert "no pictures in it or below; 1 other file passed over (1 .mov): " in call("--check", "empty")[2]


def test_what_was_fetched_and_drawn_passes(call, tmp_path):
    call("--source", "synthetic", "--count", "9", "--dest", "drawn")
    code, out, _ = call("--check", "drawn")
    assert code == 0
    assert ": 9 pictures\n" in out
    assert "  178x218: 9" in out
