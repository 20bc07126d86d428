"""GPU memory: the estimate against numbers counted by hand, and the figure of what is used."""

import pytest
import tensorflow as tf

from srez.networks.build import build_critic, build_generator
from srez.options.config import Config
from srez.training.memory import estimate_memory, gpu_memory

WEIGHTS = 262 + 1116  # of both networks at width 1/64
# 16x16x3 three times, 32x32x4 three times, 64x64 with 2 channels five times and with 3 twice
GENERATOR = 16**2 * 9 + 32**2 * 12 + 64**2 * 16
# 64x64x3 twice, each convolution with its norm and ReLU, the last convolution, the mean
CRITIC = 64**2 * 6 + 3 * (32**2 + 16**2 * 2 + 8**2 * 4 + 3 * 4**2 * 8) + 4**2 + 1


@pytest.mark.parametrize(
    ("options", "replicas", "expected"),
    [
        ({}, 1, 28 * WEIGHTS + 4 * 3 * (GENERATOR + 2 * CRITIC)),
        ({"optimizer": "rmsprop"}, 1, 28 * WEIGHTS + 4 * 3 * (GENERATOR + 2 * CRITIC)),
        ({"precision": "bfloat16"}, 1, 28 * WEIGHTS + 2 * 3 * (GENERATOR + 2 * CRITIC)),
        ({"loss_func": "wgangp"}, 1, 28 * WEIGHTS + 4 * 3 * (GENERATOR + 4 * CRITIC)),
        ({"gene_ema": 0.999}, 1, 28 * WEIGHTS + 8 * 262 + 4 * 3 * (GENERATOR + 2 * CRITIC)),
        ({}, 2, 28 * WEIGHTS + 4 * 2 * (GENERATOR + 2 * CRITIC)),
    ],
)
def test_estimate(options, replicas, expected):
    config = Config(gen_architect="deconv", width=1 / 64, batch_size=3, **options)
    networks = build_generator(config, config.input_size), build_critic(config)
    assert estimate_memory(config, *networks, replicas) == expected


def test_no_figure_without_a_gpu():
    assert gpu_memory() == {}


def test_the_figure_is_that_of_the_fullest_gpu(monkeypatch):
    peaks = {"GPU:0": 1_500_000, "GPU:1": 2_250_000}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(peaks))
    monkeypatch.setattr(
        tf.config.experimental, "get_memory_info", lambda name: {"current": 0, "peak": peaks[name]}
    )
    assert gpu_memory() == {"gpu_memory_mb": 2.25}
