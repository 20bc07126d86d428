"""Fresh critics: what they say of known pictures, at which batches, and that no training notices them."""

import numpy as np
import pytest
from helpers import assert_equal_checkpoints, quick, train

from srez.metrics.sets import transport
from srez.options.config import Config
from srez.runs.run import METRICS, read_metrics
from srez.training import fresh
from srez.training.fresh import FIGURES, FreshCritics, is_due


@pytest.fixture(scope="module")
def critics() -> FreshCritics:
    """One critic that has some width."""
    return FreshCritics(Config(width=0.125, fresh_critics=1))


def stripes(height: float) -> np.ndarray:
    """32 equal pictures of columns 0.7 - height and 0.7 + height by turns."""
    columns = np.where(np.arange(64) % 2, 0.7 + height, 0.7 - height).astype(np.float32)
    return np.broadcast_to(columns[None, None, :, None], (32, 64, 64, 3))


def test_two_pictures_are_as_far_apart_as_they_are(critics, monkeypatch):
    """The best critic is linear between them. With slope s at distance w it gains s w - 10 (s - 1)^2.

    So WGAN-GP's optimum is s = 1 + w / 20, its estimate s w: 1.55 w for w = 0.1 sqrt(64 * 64 * 3).
    """
    monkeypatch.setattr(fresh, "STEPS", 160)
    real, generated = stripes(0.05), stripes(-0.05)
    distance = transport(real, generated)
    assert distance == pytest.approx(0.1 * np.sqrt(64 * 64 * 3), rel=1e-5)
    found = critics.measure(real, generated, 1)
    assert 0.8 * distance < found["fresh_wasserstein_estimate"] < 1.55 * distance
    slope = found["fresh_wasserstein_estimate"] / distance
    assert found["fresh_gradient_penalty"] > (slope - 1) ** 2  # with slope 1 it would be the distance at most


def test_it_is_read_on_the_faces_that_it_was_not_trained_on(critics, monkeypatch):
    """Faces 0, 2, ... differ, 1, 3, ... do not: the first critic is trained on those and reads these."""
    monkeypatch.setattr(fresh, "STEPS", 2)
    real = np.random.default_rng(0).random((34, 64, 64, 3), np.float32)
    generated = real.copy()
    generated[::2] = 0.5
    assert critics.measure(real, generated, 1)["fresh_wasserstein_estimate"] == 0.0
    other = critics.measure(real[1:], generated[1:], 1)
    assert abs(other["fresh_wasserstein_estimate"]) > 1e-3
    assert critics.measure(real[1:], generated[1:], 1) == other
    assert critics.measure(real[1:], generated[1:], 2) != other


def test_when_they_are_due():
    config = Config(summary_period=20, fresh_critics=1)
    assert [n for n in range(400) if is_due(config, n)] == [20, 40, 80, 160, 320]
    assert not is_due(Config(summary_period=20), 20)


def test_a_training_goes_on_as_without_them(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(fresh, "STEPS", 1)
    monkeypatch.setattr(fresh, "FRESH_BATCH", 2)  # so that few faces do

    def figures_after(name: str, fresh_critics: int) -> list:
        """Of batches 0, 1 and 2, every second one a sample."""
        options = {"max_batches": 2, "fresh_critics": fresh_critics, "summary_period": 2, "log_period": 1}
        config = quick(faces, tmp_path / name, test_vectors=4, **options)
        assert train(config) == 0
        lines = read_metrics(f"{config.checkpoint_dir}/{METRICS}")
        return [[line.get(name) for name in (*FIGURES, "transport")] for line in lines]

    measured, without = figures_after("measured", 1), figures_after("without", 0)
    assert_equal_checkpoints(*(tmp_path / name / "checkpoint" for name in ("measured", "without")))
    assert without == [[None, None, None]] * 3
    assert measured[0][:2] == [None, None]
    assert measured[0][2] > 1  # the untrained generator's grey is far from any face
    assert measured[1] == [None, None, None]
    assert np.isfinite(measured[2]).all()
