"""The figures of a sample that need no critic: of outputs, and of bicubic enlargement of the same faces."""

import numpy as np
import pytest
import tensorflow as tf

from srez.data.samples import Batch, area_resize
from srez.metrics.perceptual import features, lpips
from srez.metrics.sets import frechet_distance
from srez.options.config import Config
from srez.training import quality as quality_module
from srez.training.quality import Quality


@pytest.fixture(scope="module")
def test_batch() -> Batch:
    """Six pictures of steep edges between black and white: bicubic enlargement goes beyond both."""
    blocks = np.random.default_rng(0).integers(0, 2, (6, 8, 8, 3)).astype(np.float32)
    label = tf.constant(blocks.repeat(8, axis=1).repeat(8, axis=2))
    return Batch(label, area_resize(label, 16))


def test_outputs_beside_their_truth(test_batch):
    quality, label = Quality(test_batch, Config()), test_batch.label.numpy()
    same = quality.figures(label)
    assert (same["lpips"], same["l1_quality"], same["diversity"]) == (0, 0, pytest.approx(1))
    assert same["psnr"] == pytest.approx(100, abs=1e-3)
    other = quality.figures(2 * label[::-1] - 0.5)  # clipped: the faces in another order
    assert other["lpips"] == pytest.approx(np.mean(lpips(label, label[::-1])), abs=1e-6)
    assert other["psnr"] == pytest.approx(-10 * np.log10(_errors(label, label[::-1])).mean(), rel=1e-5)
    assert "alexnet_frechet" not in other  # six faces are too few, as for --run eval
    assert not any(name.startswith("bicubic") for name in other)


def test_bicubic_enlargement_is_clipped_and_measured_likewise(test_batch, monkeypatch):
    monkeypatch.setattr(quality_module, "MIN_FOR_ALEXNET", 6)
    label = test_batch.label.numpy()
    enlarged = tf.image.resize(test_batch.feature, [64, 64], method="bicubic").numpy()
    assert enlarged.max() > 1.05
    assert enlarged.min() < -0.05
    found = Quality(test_batch, Config()).bicubic()
    names = ("psnr", "ssim", "consistency", "lpips", "alexnet_frechet", "swd")
    assert found.keys() == {f"bicubic_{name}" for name in names}
    clipped = enlarged.clip(0, 1)
    assert found["bicubic_psnr"] == pytest.approx(-10 * np.log10(_errors(clipped, label)).mean(), rel=1e-5)
    assert found["bicubic_lpips"] == pytest.approx(np.mean(lpips(clipped, label)), abs=1e-6)
    assert found["bicubic_lpips"] > 0.01
    assert found["bicubic_swd"] > 1
    distance = frechet_distance(features(label), features(clipped))
    assert found["bicubic_alexnet_frechet"] == pytest.approx(distance, rel=1e-4)
    assert distance > 1


def test_noise_input_has_the_distance_of_sets(test_batch):
    quality = Quality(test_batch, Config(input="noise"))
    label = test_batch.label.numpy()
    assert quality.bicubic() == {}
    same, grey = quality.figures(label[::-1]), quality.figures(np.full_like(label, 0.5))
    assert same.keys() == {"swd", "diversity", "alexnet_frechet"}
    assert same["alexnet_frechet"] == pytest.approx(0, abs=1e-3)
    assert grey["alexnet_frechet"] > 1
    assert "alexnet_frechet" not in Quality(_first(test_batch), Config(input="noise")).figures(label[:1])


def _errors(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.square(one - other).mean((1, 2, 3))


def _first(batch: Batch) -> Batch:
    return Batch(batch.label[:1], batch.feature[:1])
