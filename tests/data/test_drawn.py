"""The drawn faces: the same everywhere, different from each other, and laid out as in CelebA."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srez.data.drawn import canvas, hair
from srez.data.drawn.faces import draw, generator

ROOT = Path(__file__).resolve().parents[2]
COUNT = 96
EYES = (69, 111), (108, 111)  # CelebA's mean landmarks, x and y
LOWER_LIP = (88, 156)  # the mouth's corners are at 152


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """The first faces, [COUNT, 218, 178, 3] uint8."""
    return np.stack([draw(number) for number in range(COUNT)])


@pytest.fixture(scope="module")
def labels(faces: np.ndarray) -> np.ndarray:
    """What a training sees of them: the centre window, averaged down. [COUNT, 64, 64, 3] uint8."""
    windows = [Image.fromarray(face).crop((25, 60, 153, 188)) for face in faces]
    return np.stack([np.asarray(one.resize((64, 64), Image.Resampling.BOX)) for one in windows])


@pytest.fixture(scope="module")
def mean_bare_face(faces: np.ndarray) -> np.ndarray:
    """The average of the faces without glasses, [218, 178, 3] float."""
    traits = [canvas.Traits(generator(number, 0)) for number in range(COUNT)]
    bare = [not face.glasses for face in traits]
    assert 0.6 * COUNT < sum(bare) < COUNT
    return faces[bare].mean(axis=0)


def digest(face: np.ndarray) -> str:
    return hashlib.sha256(face.tobytes()).hexdigest()


def darkest(gray: np.ndarray, around: tuple[int, int], reach: int) -> tuple[int, int]:
    """x and y of the darkest 5x5 square of gray [h, w] within reach of a place."""
    x, y = around
    squares = np.lib.stride_tricks.sliding_window_view(gray, (5, 5)).mean(axis=(2, 3))
    part = squares[y - 2 - reach : y - 1 + reach, x - 2 - reach : x - 1 + reach]
    row, column = np.unravel_index(part.argmin(), part.shape)
    return x - reach + int(column), y - reach + int(row)


def psnr_of_bicubic(label: np.ndarray) -> float:
    """PSNR in dB of bicubic 16 -> 64 against a label [64, 64, 3] uint8."""
    small = Image.fromarray(label).resize((16, 16), Image.Resampling.BOX)
    large = np.asarray(small.resize((64, 64), Image.Resampling.BICUBIC), np.float64)
    return float(10 * np.log10(255**2 / np.mean((large - label) ** 2)))


def test_a_face_is_celeba_sized_rgb_bytes():
    face = draw(0)
    assert face.shape == (218, 178, 3)
    assert face.dtype == np.uint8
    assert face.flags.c_contiguous
    assert face.flags.writeable


def test_order_does_not_matter(faces: np.ndarray):
    for number in (40, 3, 40, 0):
        assert np.array_equal(draw(number), faces[number])


def test_threads_do_not_matter(faces: np.ndarray):
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(draw, range(32)))
    assert np.array_equal(drawn, faces[:32])


def test_another_process_draws_the_same_bytes():
    program = (
        "import hashlib; from srez.data.drawn import faces\n"
        "for number, seed in ((7, 3), (2**63 + 1, 0)):\n"
        "    print(hashlib.sha256(faces.draw(number, seed).tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    here = [digest(draw(7, 3)), digest(draw(2**63 + 1, 0))]
    assert done.stdout.split() == here, done.stderr


def test_numbers_and_seeds_all_give_different_faces(faces: np.ndarray):
    others = [draw(number, seed) for number, seed in ((0, 1), (1, 2), (2, 1), (0, 2))]
    huge = [draw(2**63 + step) for step in (1, 2)]
    assert len({digest(face) for face in [*faces, *others, *huge]}) == COUNT + 6


@pytest.mark.parametrize(("number", "seed"), [(-1, 0), (0, -1), (2**64, 0), (0, 2**64)])
def test_numbers_beyond_64_bits_are_refused(number: int, seed: int):
    with pytest.raises(OverflowError):
        draw(number, seed)


def test_faces_are_as_diverse_as_photographs(labels: np.ndarray):
    """Root mean square between two real CelebA windows is about 79 levels."""
    values = labels.astype(np.float64)
    distance = np.sqrt(((values - np.roll(values, 1, axis=0)) ** 2).mean(axis=(1, 2, 3)))
    assert 60 < distance.mean() < 95
    assert distance.min() > 20


def test_every_trait_varies():
    traits = [canvas.Traits(generator(number, 5)) for number in range(300)]
    for name in vars(traits[0]):
        values = [np.asarray(getattr(face, name)).ravel().tolist() for face in traits]
        assert len(set(map(str, values))) > 1, name
    assert {face.hair_style for face in traits} == set(hair.STRANDS)
    assert {face.glasses for face in traits} == {"", "wire", "frame", "sun"}
    assert 0.4 < np.mean([face.female for face in traits]) < 0.6


@pytest.mark.parametrize("eye", EYES)
def test_eyes_are_where_celeba_has_them(mean_bare_face: np.ndarray, eye: tuple[int, int]):
    x, y = darkest(mean_bare_face.mean(axis=2), eye, reach=9)
    assert abs(x - eye[0]) <= 3
    assert abs(y - eye[1]) <= 3


def test_lips_are_where_celeba_has_them(mean_bare_face: np.ndarray):
    red, green = mean_bare_face[..., 0], mean_bare_face[..., 1]
    x, y = darkest(green / red, LOWER_LIP, reach=16)
    assert abs(x - LOWER_LIP[0]) <= 8  # the lips are a bar: the place along them is loose
    assert abs(y - LOWER_LIP[1]) <= 4


def test_each_eye_is_darker_than_the_cheek_below_it(faces: np.ndarray):
    gray = faces.mean(axis=3)
    for x, y in EYES:
        eye = gray[:, y - 4 : y + 4, x - 4 : x + 5].min(axis=(1, 2))
        cheek = gray[:, y + 16 : y + 22, x - 4 : x + 5].mean(axis=(1, 2))
        assert np.mean(eye < 0.75 * cheek) > 0.97


def test_bicubic_scores_as_on_photographs(labels: np.ndarray):
    """Real CelebA windows: 23.4 dB, standard deviation 1.8."""
    scores = [psnr_of_bicubic(label) for label in labels]
    assert 23 < np.mean(scores) < 26
    assert min(scores) > 18
    assert max(scores) < 36


def test_brightness_is_that_of_photographs(labels: np.ndarray):
    """Real CelebA windows: mean 114, standard deviation 29."""
    levels = labels.mean(axis=(1, 2, 3))
    assert 95 < levels.mean() < 130
    assert 20 < levels.std() < 45
    assert levels.min() > 15
    assert levels.max() < 245
