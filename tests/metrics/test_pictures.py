"""Figures of pictures, against values known by hand and against their definitions."""

import numpy as np
import pytest
import tensorflow as tf

from srez.metrics.pictures import EVAL_METRICS, METRICS, beyond_neighbours


def flat(value: float, side: int = 64) -> tf.Tensor:
    return tf.fill([2, side, side, 3], value)


def random_pictures(count: int, seed: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).random((count, side, side, 3), np.float32)


@pytest.mark.parametrize(
    ("name", "value", "equal"),
    [("psnr", 20.0, 100.0), ("l1", 0.1, 0.0), ("mse", 0.01, 0.0), ("consistency", 20.0, 100.0)],
)
def test_figures_of_flat_pictures(name, value, equal):
    metric = EVAL_METRICS[name]
    np.testing.assert_allclose(metric(flat(0.5), flat(0.6), flat(0.6, 16)), value, rtol=1e-5)
    np.testing.assert_allclose(metric(flat(0.5), flat(0.5), flat(0.5, 16)), equal, atol=1e-5)


def test_ssim_of_flat_pictures():
    """No structure on either side leaves the luminance term (2ab + c) / (a^2 + b^2 + c), c = 0.0001."""
    found = EVAL_METRICS["ssim"](flat(0.5), flat(0.7), flat(0.5, 16))
    np.testing.assert_allclose(found, (0.7 + 1e-4) / (0.25 + 0.49 + 1e-4), rtol=1e-3)


def test_ssim_against_its_definition():
    one, other = (tf.constant(random_pictures(1, seed)) for seed in (0, 1))
    other = 0.7 * one + 0.3 * other
    distance = np.arange(11) - 5
    window = np.exp(-(distance**2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    views = [np.lib.stride_tricks.sliding_window_view(p[0], (11, 11), axis=(0, 1)) for p in (one, other)]
    a, b = ((view * window).sum((-1, -2)) for view in views)
    aa, bb, ab = (
        (x * y * window).sum((-1, -2)) for x, y in ((views[0],) * 2, (views[1],) * 2, (views[0], views[1]))
    )
    c1, c2 = 0.01**2, 0.03**2
    values = (2 * a * b + c1) * (2 * (ab - a * b) + c2)
    values /= (a**2 + b**2 + c1) * (aa - a**2 + bb - b**2 + c2)
    np.testing.assert_allclose(METRICS["ssim"](one, other, one), values.mean(), atol=1e-5)


def test_consistency_looks_at_means_only():
    checks = np.indices((64, 64)).sum(0) % 2  # means of 0.5 everywhere
    output = tf.constant(np.broadcast_to(checks[None, ..., None], (2, 64, 64, 3)), tf.float32)
    np.testing.assert_allclose(METRICS["consistency"](output, output, flat(0.5, 16)), 100, atol=1e-4)
    np.testing.assert_allclose(METRICS["psnr"](output, flat(0.5), flat(0.5, 16)), 6.0206, atol=1e-3)


@pytest.mark.parametrize(
    ("places", "value", "count"),
    [
        ([(3, 4)], 0.63, 1),
        ([(3, 4)], 0.61, 0),
        ([(3, 4)], 0.37, 1),
        ([(0, 0), (0, 7), (7, 3)], 0.7, 3),  # at the border too
        ([(3, 4), (3, 5)], 0.9, 0),  # a line is none
        ([(3, 4), (4, 5)], 0.9, 0),
        ([(3, 4), (3, 6)], 0.9, 2),
        ([(y, x) for y in range(8) for x in range(4)], 0.9, 0),  # nor an edge
    ],
)
def test_lone_pixels(places, value, count):
    pictures = np.full((2, 8, 8, 3), 0.5, np.float32)
    for y, x in places:
        pictures[1, y, x, 2] = value
    assert EVAL_METRICS["lone"](pictures, None, None).numpy().tolist() == [0, count]


def test_how_far_beyond_the_neighbours():
    picture = np.full((1, 5, 5, 1), 0.5, np.float32)
    picture[0, 2, 2] = 0.8
    picture[0, 1, 2] = 0.6  # beside it: neither above nor below all
    found = beyond_neighbours(tf.constant(picture)).numpy()
    assert found[0, 2, 2, 0] == pytest.approx(0.2)
    assert np.count_nonzero(found) == 1
