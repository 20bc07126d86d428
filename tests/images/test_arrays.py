"""Pictures as Python has them: what is taken, and that it comes back as it was."""

import numpy as np
import pytest
from PIL import Image

from srez.errors import UserError
from srez.images.arrays import to_rgb

COLOURS = np.array([[[10, 20, 30, 40]] * 3] * 2, np.uint8)  # [2, 3, 4]
TAKEN = r"give a Pillow picture, or an array \[h, w\], .* of uint8, uint16 or floats in \[0, 1\]"


def enlarged(rgb: np.ndarray) -> np.ndarray:
    return rgb.repeat(2, axis=1).repeat(2, axis=2)


@pytest.mark.parametrize(
    "picture",
    [
        COLOURS[..., :3],
        COLOURS,
        COLOURS[..., 0],
        COLOURS[..., :1],
        COLOURS[None, ..., :3],
        np.stack([COLOURS, COLOURS, COLOURS]),
    ],
    ids=lambda picture: "x".join(map(str, picture.shape)),
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
def test_an_array_comes_back_as_it_was(picture, dtype):
    scale = {"uint8": 1, "uint16": 257}.get(dtype, 1 / 255)
    given = (picture.astype(float) * scale).astype(dtype)
    rgb, back = to_rgb(given)
    assert rgb.shape[-3:] == (2, 3, 3)
    assert rgb.dtype == given.dtype
    found = back(enlarged(rgb))
    rows = -2 if picture.ndim == 2 else -3
    expected = given.repeat(2, axis=rows).repeat(2, axis=rows + 1)
    assert (found.shape, found.dtype) == (expected.shape, given.dtype)
    np.testing.assert_allclose(found.astype(float), expected, atol=1e-3)


def test_what_is_grey_comes_back_as_its_luminance():
    rgb, back = to_rgb(np.array([[7]], np.uint8))
    assert rgb.tolist() == [[[[7, 7, 7]]]]
    assert back(np.array([[[[100, 200, 50]]]], np.uint8)).tolist() == [[153]]  # 0.299, 0.587, 0.114


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_pillow_picture_keeps_its_mode(mode):
    picture = Image.new("L", (3, 2), 255).convert(mode)
    rgb, back = to_rgb(picture)
    assert rgb.shape == (1, 2, 3, 3)
    found = back(enlarged(rgb))
    assert (found.mode, found.size) == (mode, (6, 4))
    assert found.getpixel((0, 0)) == pytest.approx(picture.getpixel((0, 0)), abs=1)


@pytest.mark.parametrize(
    ("picture", "problem"),
    [
        (np.zeros((2, 2, 3), np.int64), "numbers of kind int64"),
        ([[0, 255]], "numbers of kind int64"),
        (np.zeros((2, 2, 3), bool), "numbers of kind bool"),
        ("me.jpg", "a text; a file is opened with PIL.Image.open"),
        (np.full((2, 2, 3), 255.0), "floats from 255 to 255"),
        (np.array([[0, np.nan]]), "floats from nan to nan"),
        (np.array([[0, -0.5]]), "floats from -0.5 to 0"),
        (np.zeros((0, 4, 3), np.uint8), "an empty array"),
        (np.zeros(5, np.uint8), r"an array of shape \[5\]"),
        (np.zeros((3, 16, 20), np.uint8), r"an array of shape \[3, 16, 20\] \(channels come last\)"),
        (np.zeros((8, 3, 16, 20), np.uint8), r"an array of shape \[8, 3, 16, 20\] \(channels come last\)"),
        (np.zeros((2, 2, 2), np.uint8), r"an array of shape \[2, 2, 2\]"),
        (Image.new("F", (2, 2)), "floating-point pixels"),
        (Image.new("RGB", (0, 4)), "an empty one"),
        ([np.zeros((2, 2)), np.zeros((3, 3))], "setting an array element with a sequence"),
    ],
)
def test_anything_else_is_refused_in_one_line(picture, problem):
    with pytest.raises(UserError, match=f"(?s)no picture: {problem}.*{TAKEN}") as error:
        to_rgb(picture)
    assert "\n" not in str(error.value)
