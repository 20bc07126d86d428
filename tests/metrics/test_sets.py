"""Distances of sets of pictures, against values known by hand and against their definitions."""

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage

from srez.metrics import sets
from srez.metrics.sets import (
    frechet_distance,
    kernel_distance,
    laplacian_pyramid,
    neighbourhoods,
    normalized,
    patches,
    sliced_wasserstein,
    sliced_wasserstein_levels,
)


def random_pictures(count: int, seed: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).random((count, side, side, 3), np.float32)


def blurred(pictures: np.ndarray) -> np.ndarray:
    """The binomial kernel of 5x5, borders mirrored without repeating the last pixel."""
    for axis in (1, 2):
        pictures = scipy.ndimage.convolve1d(pictures, np.array([1, 4, 6, 4, 1]) / 16, axis, mode="mirror")
    return pictures


def test_pyramid_adds_up_again():
    pictures = random_pictures(2, 0)
    levels = list(laplacian_pyramid(pictures))
    assert [level.shape[1] for level in levels] == [64, 32, 16]
    np.testing.assert_allclose(levels[2], blurred(blurred(pictures)[:, ::2, ::2])[:, ::2, ::2], atol=1e-6)
    rebuilt = levels.pop()
    while levels:
        spread = np.zeros((2, 2 * rebuilt.shape[1], 2 * rebuilt.shape[1], 3), np.float32)
        spread[:, ::2, ::2] = rebuilt
        rebuilt = levels.pop() + 4 * blurred(spread)
    np.testing.assert_allclose(rebuilt, pictures, atol=1e-6)


def test_pyramid_of_a_flat_picture_has_no_details():
    levels = list(laplacian_pyramid(np.full((1, 64, 64, 3), 0.3, np.float32)))
    for level, value in zip(levels, (0, 0, 0.3), strict=True):
        np.testing.assert_allclose(level, value, atol=1e-6)


def test_pyramid_of_single_points_shows_its_kernel():
    picture = np.zeros((1, 32, 32, 3), np.float32)
    picture[0, 16, 16], picture[0, 0, 0], picture[0, 21, 25] = 256, 256, 256
    smaller = list(laplacian_pyramid(picture))[1][0, :, :, 0]
    np.testing.assert_allclose(smaller[7:10, 7:10], np.outer([1, 6, 1], [1, 6, 1]))
    np.testing.assert_allclose(smaller[:2, :2], np.outer([6, 1], [6, 1]))  # the corner is mirrored once
    np.testing.assert_allclose(smaller[10:12, 12:14], 16)  # 4 * 4, between four of the pixels that stay
    assert np.count_nonzero(smaller) == 9 + 4 + 4


def test_patches_are_parts_of_their_pictures():
    pictures = np.arange(2 * 16 * 16 * 3, dtype=np.float32).reshape(2, 16, 16, 3)
    found = patches(pictures, 0)
    assert found.shape == (256, 7, 7, 3)
    for n, patch in enumerate(found):
        index, rest = divmod(int(patch[0, 0, 0]), 16 * 16 * 3)
        y, x = divmod(rest // 3, 16)
        assert index == n // 128
        np.testing.assert_array_equal(patch, pictures[index, y : y + 7, x : x + 7])
    corners = {(int(p[0, 0, 0]) % 768 // 48, int(p[0, 0, 0]) // 3 % 16) for p in found}
    assert {y for y, _ in corners} == {x for _, x in corners} == set(range(10))


def test_normalized_by_channel():
    found = normalized(random_pictures(50, 3, 7) * [1, 10, 100] + [5, 50, 500])
    found = found.reshape(50, 7, 7, 3)
    np.testing.assert_allclose(found.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(found.std((0, 1, 2)), 1, atol=1e-4)
    assert np.isfinite(normalized(np.ones((5, 7, 7, 3)))).all()


def test_sliced_wasserstein_of_a_shift():
    """All points moved by v: the mean of |v . direction|, sqrt(2 / (pi d)) |v| for many directions."""
    points = np.random.default_rng(0).normal(size=(500, 147))
    shift = np.full(147, 0.3)
    found = sliced_wasserstein(points, points + shift)
    expected = np.sqrt(2 / (np.pi * 147)) * np.linalg.norm(shift)
    assert found == pytest.approx(expected, rel=0.15)
    assert sliced_wasserstein(points, points + 2 * shift) == pytest.approx(2 * found)
    assert sliced_wasserstein(points, points[::-1]) < 1e-12  # the order of sums alone


def test_sliced_wasserstein_of_two_spreads():
    """In one dimension: mean |x| * (3 - 1) for x and 3x."""
    points = np.random.default_rng(0).normal(size=(400, 1))
    assert sliced_wasserstein(points, 3 * points) == pytest.approx(2 * np.abs(points).mean())


def test_levels_tell_alike_from_different():
    one, same, dull = random_pictures(24, 0), random_pictures(24, 1), random_pictures(24, 2)
    dull = dull[:, ::4, ::4].repeat(4, axis=1).repeat(4, axis=2)
    near, far = sliced_wasserstein_levels(one, same), sliced_wasserstein_levels(one, dull)
    assert list(near) == list(far) == [64, 32, 16]
    assert far[64] > 1.5 * near[64]
    assert sliced_wasserstein_levels(one, same) == near
    fewer = sliced_wasserstein_levels(one, same[:8])
    assert fewer == sliced_wasserstein_levels(one[:8], same[:8])


def with_moments(mean: np.ndarray, covariance: np.ndarray, seed: int) -> np.ndarray:
    """Features whose mean and covariance are exactly these."""
    points = np.random.default_rng(seed).normal(size=(200, len(mean)))
    points -= points.mean(0)
    points = points @ np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(points, rowvar=False)))).T
    return points @ np.linalg.cholesky(covariance).T + mean


def test_frechet_of_gaussians_in_one_dimension():
    """(m1 - m2)^2 + (s1 - s2)^2."""
    one, other = (
        with_moments(np.array([1.0]), np.array([[4.0]]), 0),
        with_moments(np.array([3.0]), np.array([[25.0]]), 1),
    )
    assert frechet_distance(one, other) == pytest.approx(4 + 9)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-8)


def test_frechet_of_gaussians_whose_axes_differ():
    a = np.array([[2.0, 0.9, 0.0], [0.9, 1.0, 0.3], [0.0, 0.3, 3.0]])
    b = np.array([[1.0, -0.4, 0.2], [-0.4, 2.0, 0.0], [0.2, 0.0, 0.5]])
    means = np.zeros(3), np.array([1.0, 2.0, -1.0])
    expected = 6 + np.trace(a + b - 2 * np.real(scipy.linalg.sqrtm(a @ b)))
    found = frechet_distance(with_moments(means[0], a, 0), with_moments(means[1], b, 1))
    assert found == pytest.approx(expected, rel=1e-8)


def test_frechet_with_fewer_pictures_than_features():
    random = np.random.default_rng(0)
    assert np.isfinite(frechet_distance(random.normal(size=(5, 40)), random.normal(size=(5, 40))))


def test_kernel_distance_against_its_definition():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(7, 5)), random.normal(size=(6, 5)) + 0.5

    def kernel(x, y):
        return (x @ y / 5 + 1) ** 3

    def own(points):
        n = len(points)
        pairs = [kernel(points[i], points[j]) for i in range(n) for j in range(n) if i != j]
        return sum(pairs) / (n * (n - 1))

    cross = np.mean([kernel(x, y) for x in one for y in other])
    assert kernel_distance(one, other) == pytest.approx(own(one) + own(other) - 2 * cross)


def test_kernel_distance_is_unbiased():
    random = np.random.default_rng(0)
    same = [kernel_distance(*random.normal(size=(2, 20, 5))) for _ in range(300)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(300)
    moved = [kernel_distance(a, b + 0.5) for a, b in random.normal(size=(50, 2, 20, 5))]
    assert np.mean(moved) > 5 * np.std(same) / np.sqrt(50)


def test_neighbourhoods_on_a_line():
    """Real ones reach 1, 1, 1 and 8 far, the others 1."""
    reals, others = np.array([[0.0], [1], [2], [10]]), np.array([[0.5], [1.5], [30], [31]])
    assert neighbourhoods(reals, others, nearest=1) == {
        "precision": 2 / 4,  # 30 and 31 lie in none
        "recall": 3 / 4,  # 10 lies in none
        "density": (2 + 2 + 0 + 0) / 4,
        "coverage": 3 / 4,  # nobody is nearer than 8 to 10
    }


def test_neighbourhoods_as_by_the_package_prdc():
    """Of version 0.2, by the authors of density and coverage."""
    random = np.random.default_rng(0)
    reals, others = random.normal(size=(60, 8)), 0.8 * random.normal(size=(50, 8)) + 0.3
    known = {"precision": 0.96, "recall": 0.6166667, "density": 1.7, "coverage": 0.9333333}
    assert neighbourhoods(reals, others) == pytest.approx(known, abs=1e-6)


def even(*values: float) -> np.ndarray:
    """Pictures of one value each: the root mean square distance of two is the difference of their values."""
    return np.reshape(np.float32(values), (-1, 1, 1, 1)) * np.ones((1, 8, 8, 3), np.float32)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.0, 0.3, 0.6), 1.0),  # distances 0.3, 0.3, 0.6
        ((0.5, 0.5, 0.5), 0.0),
        ((0.5, 0.5, 0.8), 0.5),  # 0, 0.3, 0.3
        ((0.0, 1.0), 2.5),
    ],
)
def test_diversity(values, expected):
    found = sets.diversity(even(*values), even(0.0, 0.3, 0.6))
    assert found == pytest.approx(expected, abs=1e-6)


def test_diversity_beside_faces_that_are_all_alike_is_unknown():
    assert sets.diversity(even(0.0, 1.0), even(0.5, 0.5)) is None


@pytest.mark.parametrize(
    ("reals", "others", "expected"),
    [
        ((0.1, 0.4, 0.9), (0.9, 0.1, 0.4), 0.0),  # the same in another order
        ((0.1, 0.4, 0.9), (0.3, 0.6, 1.1), 0.2),  # each moved by 0.2
        ((0.0, 0.5), (0.9, 0.4), 0.4),  # 0 to 0.4, 0.5 to 0.9; nearest first would be (0.1 + 0.9) / 2
        ((0.5,) * 1000 + (0.0,), (0.5,) * 1000 + (1.0,), 0.0),  # the first 1,000
        ((0.5, 0.5), (0.5, np.nan), np.nan),
    ],
)
def test_transport(reals, others, expected):
    found = sets.transport(even(*reals), even(*others))
    assert found == pytest.approx(np.sqrt(192) * expected, abs=1e-5, nan_ok=True)


def test_transport_lies_between_a_critic_with_slope_one_and_each_picture_to_its_own():
    reals = random_pictures(20, 0, 8)
    others = reals[:, ::-1] + 0.3 * random_pictures(20, 1, 8)
    found = sets.transport(reals, others)
    own = np.linalg.norm((reals - others).reshape(20, -1), axis=1).mean()
    slope = (others - reals).mean(axis=0)  # the critic: the product with this direction, of length one
    critic = np.sum((others - reals).mean(axis=0) * slope) / np.linalg.norm(slope)
    assert 0 < critic < found < own
