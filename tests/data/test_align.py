"""Faces found in a photograph, brought upright into CelebA's frame, and put back."""

import tracemalloc

import numpy as np
import pytest
from helpers import astronaut
from PIL import Image
from skimage import data

from srez.data.align import (
    CELEBA_LANDMARKS,
    SQUARE,
    WHOLE,
    Face,
    find_faces,
    straighten,
    surroundings,
    turn_back,
)

EYES = np.array([(203, 101), (245, 102)])  # of the astronaut, seen by eye, at 512 pixels


def face_at(scale: float, degrees: float = 0, shift: tuple[float, float] = (0, 0)) -> Face:
    """CelebA's mean face, enlarged, turned clockwise about the origin and shifted."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return Face((0, 0, 1, 1), scale * CELEBA_LANDMARKS @ turn + shift, 1.0)


def slope(width: int, height: int) -> np.ndarray:
    """A picture that is as red as far to the right and as green as far down, both by pixels' middles."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x, y, np.full_like(x, 9)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("side", "turn"), [(512, 0), (512, 25), (110, -20)])
def test_the_astronaut_is_found(side, turn):
    (face,) = find_faces(np.asarray(astronaut(side, turn)))
    middle = np.array([256, 256])
    angle = np.radians(turn)
    back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    eyes = (face.landmarks[:2] * 512 / side - middle) @ back + middle
    np.testing.assert_allclose(eyes, EYES, atol=5)
    assert face.side * 512 / side == pytest.approx(134, rel=0.05)
    assert np.angle(face.frame[0], deg=True) - turn == pytest.approx(3.5, abs=3)  # she holds her head so
    left, top, width, height = (n * 512 / side for n in face.box)
    assert 0.7 * 134 < height < 134
    if not turn:
        assert left < EYES[0, 0] < EYES[1, 0] < left + width
        assert top < 101 < top + height


def test_all_faces_the_largest_first_down_to_a_size():
    picture = Image.new("RGB", (600, 400), "grey")
    picture.paste(astronaut(110), (20, 30))  # a face of 29 pixels
    picture.paste(astronaut(300), (250, 60))  # and one of 79
    sides = [face.side for face in find_faces(np.asarray(picture))]
    assert sides == pytest.approx([79, 29], rel=0.06)
    assert len(find_faces(np.asarray(picture), min_side=40)) == 1
    assert find_faces(np.asarray(picture), min_side=100) == []


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_no_face_where_there_is_nobody(name):
    assert find_faces(getattr(data, name)()) == []


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 2), (12, 12)])
def test_pictures_too_small_for_a_face(shape):
    assert find_faces(np.full((*shape, 3), 128, np.uint8)) == []


def test_the_frame_is_the_least_squares_similarity():
    face = face_at(2, 30, (10, -20))
    a, b = face.frame
    assert a == pytest.approx(2 * np.exp(1j * np.pi / 6))
    assert b == pytest.approx(10 - 20j)
    assert face.side == pytest.approx(256)
    # opposite errors at both eyes, away from each other: the mean stays, the scale grows
    off = CELEBA_LANDMARKS + np.array([(-1, 0), (1, 0), (0, 0), (0, 0), (0, 0)])
    centred = CELEBA_LANDMARKS - CELEBA_LANDMARKS.mean(0)
    growth = (centred[1, 0] - centred[0, 0]) / (centred**2).sum()
    assert Face((0, 0, 1, 1), off, 1.0).side == pytest.approx(128 * abs(1 + growth), rel=1e-3)


def test_straighten_takes_the_square_as_it_lies():
    picture = slope(178, 218)
    np.testing.assert_allclose(255 * straighten(picture, face_at(1), 128), picture[60:188, 25:153], atol=1e-4)
    halves = 255 * straighten(picture, face_at(1), 64)
    np.testing.assert_allclose(
        halves, picture[60:188, 25:153].reshape(64, 2, 64, 2, 3).mean((1, 3)), atol=1e-3
    )
    np.testing.assert_allclose(255 * straighten(picture, face_at(1), 178, WHOLE), picture, atol=1e-4)


def test_a_large_face_is_averaged_with_little_memory():
    """3,200 pixels wide, a twentieth of a level brighter each pixel to the right, half of one downwards."""
    y, x = np.mgrid[0:5450, 0:4450]
    picture = np.stack([x // 20, y // 40, x // 20], axis=-1).astype(np.uint8)
    tracemalloc.start()
    upright = 255 * straighten(picture, face_at(25), 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    middles = 50 * np.arange(64) + 25
    np.testing.assert_allclose(upright[10, :, 0], (625 + middles) / 20 - 0.5, atol=0.3)
    np.testing.assert_allclose(upright[:, 10, 1], (1500 + middles) / 40 - 0.5, atol=0.3)
    assert peak < 200e6


def test_straighten_turns_and_shrinks():
    """By 90 degrees clockwise: the upright face's x runs down the picture, its y to the left."""
    picture, face = slope(250, 250), face_at(1.2, 90, (245, 5))
    upright = 255 * straighten(picture, face, 32)
    middles = (np.arange(32) + 0.5) * 4
    red = 245 - 1.2 * (60 + middles[:, None]) - 0.5
    green = 5 + 1.2 * (25 + middles[None]) - 0.5
    np.testing.assert_allclose(upright[..., 0], np.broadcast_to(red, (32, 32)), atol=0.15)
    np.testing.assert_allclose(upright[..., 1], np.broadcast_to(green, (32, 32)), atol=0.15)


def test_beyond_the_picture_its_border_is_continued():
    picture = slope(100, 100)
    upright = 255 * straighten(picture, face_at(1), 128)
    np.testing.assert_allclose(upright[:, 90:, 0], 99, atol=0.6)
    np.testing.assert_allclose(upright[50:, :, 1], 99, atol=0.6)


def test_the_square_of_the_astronaut_holds_her_face():
    picture = np.asarray(astronaut(512, 25))
    upright = (255 * straighten(picture, find_faces(picture)[0], 178, WHOLE)).astype(np.uint8)
    again = find_faces(upright)[0]
    np.testing.assert_allclose(again.landmarks, CELEBA_LANDMARKS, atol=6)
    assert np.angle(again.frame[0], deg=True) == pytest.approx(0, abs=3)


def test_turned_back_it_lies_where_it_was():
    """A square of 25.6 pixels, turned by 20 degrees: whole in its middle, nothing of it outside."""
    face = face_at(0.2, 20, (15, 5))
    upright = np.full((64, 64, 3), (1.0, 0.25, 0), np.float32)
    turned, share = turn_back(upright, face, (60, 50))
    assert (turned.shape, share.shape) == ((60, 50, 3), (60, 50, 1))
    a, b = face.frame
    y, x = np.mgrid[0:60, 0:50] + 0.5
    z = ((x + 1j * y) - b) / a - (SQUARE.x + 1j * SQUARE.y)
    from_edge = np.min([z.real, 128 - z.real, z.imag, 128 - z.imag], axis=0)
    assert 0.2 < (from_edge > 0).mean() < 0.24
    assert (share[from_edge < -1.5] == 0).all()
    assert (share[from_edge > 25] > 0.99).all()
    np.testing.assert_allclose(
        turned[from_edge > 25], np.broadcast_to(upright[0, 0], turned[from_edge > 25].shape), atol=1e-3
    )
    middle = (from_edge > 8) & (from_edge < 11) & (abs(abs(z.real - 64) - abs(z.imag - 64)) > 30)
    assert middle.sum() > 5
    np.testing.assert_allclose(share[middle], 0.5, atol=0.2)  # half way of 0.15 * 128 pixels


def test_surroundings_hold_the_square_and_say_where_they_begin():
    picture = slope(100, 100)
    near, x, y = surroundings(picture, face_at(0.25, 0, (60, 40)))  # 32 pixels from (66.25, 55) on
    assert (x, y) == (62, 51)
    assert near.shape == (40, 41, 3)
    np.testing.assert_allclose(255 * near[:, :38], picture[51:91, 62:100], atol=1e-4)
    np.testing.assert_allclose(255 * near[:, 38:, 0], 99, atol=1e-4)


def test_a_face_within_a_part_of_its_picture():
    face = Face((30, 40, 10, 20), CELEBA_LANDMARKS, 0.5).within(20, 30, 4)
    assert (face.box, face.confidence) == ((40, 40, 40, 80), 0.5)
    assert face.side == pytest.approx(512)
    np.testing.assert_allclose(face.landmarks[0], [4 * (68.5 - 20), 4 * (110.8 - 30)])
