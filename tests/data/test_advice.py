"""What is told of pictures that the crop does not fit, with NASA's portrait of Eileen Collins."""

import re

import pytest
from PIL import Image
from skimage import data

from srez.data import align
from srez.data.advice import advise, sample_sizes, smaller_crop
from srez.images import find
from srez.options.config import Config

# measured by hand in the portrait of 512x512: the middle and the side of the square that CelebA's crop makes
# of the face, with eyes at (203, 101) and (246, 103.5), the mouth's corners at (204, 140) and (243, 141)
MIDDLE, SIDE = (224, 114), 132


def portrait(left: int = 0, top: int = 0, side: int = 512) -> Image.Image:
    """A square of the portrait, pushed to that of 512x512 where it begins left of it or above."""
    return Image.fromarray(data.astronaut()).crop((left, top, left + side, top + side))


def told(folder, **options) -> str:
    return advise(Config(dataset=str(folder), **options), list(find.list_pictures(str(folder))[0]))


def test_large_portraits_with_the_face_at_one_place(tmp_path):
    for n, (left, top) in enumerate([(-8, 0), (8, 0), (0, -8), (0, 8), (0, 0), (4, 4)]):
        portrait(left, top).resize((1024, 1024)).save(tmp_path / f"{n}.jpg", quality=95)
    text = told(tmp_path)
    assert text.startswith(
        f"dataset '{tmp_path}': the crop of 128x128 shows a part of their faces, found in 3 of 3"
    )
    side, x, y, wiggle = map(
        int, re.search(r"--crop_size (\d+) --crop_x (\d+) --crop_y (\d+) --crop_wiggle (\d+)", text).groups()
    )
    assert side == pytest.approx(2 * SIDE, abs=16)
    assert (x + side / 2, y + side / 2) == pytest.approx((2 * MIDDLE[0], 2 * MIDDLE[1]), abs=16)
    assert wiggle == side // 16
    assert told(tmp_path, crop_size=side, crop_x=x, crop_y=y, crop_wiggle=wiggle) == ""


def test_pictures_that_are_reduced_for_the_search(tmp_path):
    for n in range(6):
        portrait().resize((3072, 3072)).save(tmp_path / f"{n}.jpg")
    side, x, y = map(
        int, re.search(r"--crop_size (\d+) --crop_x (\d+) --crop_y (\d+)", told(tmp_path)).groups()
    )
    assert side == pytest.approx(6 * SIDE, abs=48)
    assert (x + side / 2, y + side / 2) == pytest.approx((6 * MIDDLE[0], 6 * MIDDLE[1]), abs=48)


def test_faces_of_many_sizes(tmp_path):
    folder = tmp_path / "my photos"
    folder.mkdir()
    for n, size in enumerate([300, 500, 700, 900]):
        portrait().resize((size, size)).save(folder / f"{n}.jpg")
    text = told(folder)
    assert "found in 2 of 2 pictures: python3 download_data.py --align " in text
    assert text.endswith(f"--align '{folder}' --align_to '{folder}_aligned' brings them into one frame")


def test_faces_at_many_places_of_pictures_of_one_size(tmp_path):
    for n, (left, top) in enumerate([(0, 0), (-200, 0), (90, 0), (0, 0), (0, -200), (0, 0), (-200, -200)]):
        portrait(left, top).save(tmp_path / f"{n}.png")
    assert "does not frame their faces, found in 4 of 4 pictures: python3 download_data.py --align" in told(
        tmp_path
    )


def test_no_faces(tmp_path):
    for n in range(3):
        Image.fromarray(data.coffee()).save(tmp_path / f"{n}.jpg")
    text = told(tmp_path)
    assert (
        "of pictures such as 600x400 the middle 144x144 pixels are used (no face was found in 2 of them)"
        in text
    )
    assert "align" not in text


def test_too_small_without_a_search(tmp_path, monkeypatch):
    monkeypatch.delattr(align, "find_faces")
    for n in range(20):
        size = (64, 80) if n < 18 else (60, 200)
        Image.new("RGB", size).save(tmp_path / f"{n:02d}.png")
    text = told(tmp_path)
    assert "16 of 16 pictures looked at are too small for the crop of 128x128: " in text
    assert text.endswith("train with --crop_size 64 --crop_wiggle 0, which takes most of them")
    names = list(find.list_pictures(str(tmp_path))[0])
    config = Config(dataset=str(tmp_path))
    assert smaller_crop(config, names[18:]) == "pictures of at least 64x64 are needed"
    large = Config(dataset=str(tmp_path), sample_size=128)
    assert "train with --sample_size 64 --crop_size 64 " in smaller_crop(large, names)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((178, 218), {}),
        ((190, 190), {}),
        ((1024, 1024), {"crop_size": 500}),
        ((1024, 1024), {"crop_wiggle": 0}),
        ((1024, 1024), {"crop_x": 5, "crop_y": 5}),
        ((1024, 1024), {"input": "noise"}),
        ((64, 64), {"crop_size": 64}),
    ],
)
def test_nothing_is_searched_and_told(size, options, tmp_path, monkeypatch):
    monkeypatch.delattr(align, "find_faces")
    for n in range(3):
        Image.new("RGB", size).save(tmp_path / f"{n}.png")
    assert told(tmp_path, **options) == ""


@pytest.mark.parametrize("dataset", ["synthetic", "my.pack", "gs://bucket/faces"])
def test_what_is_no_local_folder_is_not_looked_at(dataset):
    assert advise(Config(dataset=dataset), ["1.jpg"]) == ""


def test_larger_pictures_that_the_crop_frames(tmp_path):
    """As those of LFW, 250x250 with the face in the middle."""
    left, top = MIDDLE[0] - 125, MIDDLE[1] - 125
    for n in range(3):
        portrait(left, top, 250).save(tmp_path / f"{n}.png")
    assert told(tmp_path) == ""


def test_sizes_are_those_of_upright_pictures_spread_over_the_folder(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    for n in range(40):
        Image.new("RGB", (20, 10 + n)).save(tmp_path / f"{n:02d}.jpg", exif=turned if n == 3 else b"")
    (tmp_path / "06.jpg").write_bytes(b"?")
    sizes = sample_sizes(str(tmp_path), [f"{n:02d}.jpg" for n in range(40)])
    expected = {n: (20, 10 + n) for n in [0, *range(9, 40, 3), 1, 4, 7]} | {3: (13, 20)}
    assert sizes == {str(tmp_path / f"{n:02d}.jpg"): size for n, size in expected.items()}
