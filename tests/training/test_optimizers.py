"""Optimizers against TensorFlow 1's formulas, the learning rate, the scale of float16 losses."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from srez.options.config import Config, fields
from srez.training.optimizers import OPTIMIZERS, LossScale, describe_end_of_schedule, learning_rate

VALUES = [np.array([[1.0, -2.0, 0.5]]), np.array([3.0, 0.0])]
GRADIENTS = [
    [np.array([[0.3, -0.01, 2.0]]), np.array([-1.0, 0.0])],
    [np.array([[0.1, 0.02, -5.0]]), np.array([-0.5, 1e-3])],
]
RATES = [0.1, 0.05]


def run(name: str, **options) -> list[list[np.ndarray]]:
    """The variables after each of two updates."""
    variables = [tf.Variable(v, dtype=tf.float32) for v in VALUES]
    optimizer = OPTIMIZERS[name](variables, Config(**options))
    after = []
    for gradients, rate in zip(GRADIENTS, RATES, strict=True):
        optimizer.apply(variables, [tf.constant(g, tf.float32) for g in gradients], tf.constant(rate))
        after.append([v.numpy() for v in variables])
    return after


def adam_by_hand(beta1: float, beta2: float, epsilon: float) -> list[list[np.ndarray]]:
    values = [v.copy() for v in VALUES]
    first, second = ([np.zeros_like(v) for v in VALUES] for _ in range(2))
    after = []
    for t, (gradients, rate) in enumerate(zip(GRADIENTS, RATES, strict=True), 1):
        corrected = rate * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        for i, g in enumerate(gradients):
            first[i] = beta1 * first[i] + (1 - beta1) * g
            second[i] = beta2 * second[i] + (1 - beta2) * g**2
            values[i] = values[i] - corrected * first[i] / (np.sqrt(second[i]) + epsilon)
        after.append([v.copy() for v in values])
    return after


def rmsprop_by_hand(start: float = 1.0) -> list[list[np.ndarray]]:
    values, square, after = [v.copy() for v in VALUES], [np.full_like(v, start) for v in VALUES], []
    for gradients, rate in zip(GRADIENTS, RATES, strict=True):
        for i, g in enumerate(gradients):
            square[i] = 0.9 * square[i] + 0.1 * g**2
            values[i] = values[i] - rate * g / np.sqrt(square[i] + 1e-10)
        after.append([v.copy() for v in values])
    return after


def assert_close(found: list[list[np.ndarray]], expected: list[list[np.ndarray]]) -> None:
    for these, those in zip(found, expected, strict=True):
        for this, that in zip(these, those, strict=True):
            np.testing.assert_allclose(this, that, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("beta1", "beta2", "epsilon"), [(0.5, 0.9, 1e-8), (0.9, 0.999, 1e-8), (0.5, 0.9, 0.3), (0.0, 0.5, 1e-3)]
)
def test_adam(beta1, beta2, epsilon):
    found = run("adam", learning_beta1=beta1, learning_beta2=beta2, epsilon=epsilon)
    assert_close(found, adam_by_hand(beta1, beta2, epsilon))


def test_first_step_of_adam_in_numbers():
    """g = 2, betas 1/2 and 3/4, epsilon hat 1: rate * sqrt(1/4) / (1/2) * 1 / (1 + 1) = rate / 2."""
    variable = tf.Variable([1.0])
    config = Config(learning_beta1=0.5, learning_beta2=0.75, epsilon=1.0)
    OPTIMIZERS["adam"]([variable], config).apply([variable], [tf.constant([2.0])], tf.constant(0.1))
    assert float(variable[0]) == pytest.approx(0.95)


def test_rmsprop():
    assert_close(run("rmsprop"), rmsprop_by_hand())


def test_first_step_of_rmsprop_in_numbers():
    """The mean square starts at one: g = 4 gives 0.9 + 1.6 = 2.5, a step of 0.1 * 4 / sqrt(2.5)."""
    variable = tf.Variable([1.0])
    OPTIMIZERS["rmsprop"]([variable], Config()).apply([variable], [tf.constant([4.0])], tf.constant(0.1))
    assert float(variable[0]) == pytest.approx(1 - 0.4 / math.sqrt(2.5), rel=1e-6)


def test_epsilon_of_rmsprop_is_inside_the_root():
    variable = tf.Variable([0.0])
    optimizer = OPTIMIZERS["rmsprop"]([variable], Config(epsilon=1.0))  # that is Adam's
    optimizer.square[0].assign([0.0])
    optimizer.apply([variable], [tf.constant([1e-5])], tf.constant(1.0))
    assert float(variable[0]) == pytest.approx(-1e-5 / math.sqrt(1e-11 + 1e-10), rel=1e-5)


def test_every_optimizer_can_be_chosen():
    (choices,) = (f.metadata["choices"] for f in fields() if f.name == "optimizer")
    assert set(choices) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_state_is_tracked(name):
    """What a checkpoint must hold: two slots a variable, and Adam's count."""
    variables = [tf.Variable(v, dtype=tf.float32) for v in VALUES]
    optimizer = OPTIMIZERS[name](variables, Config())
    assert len(optimizer.variables) == 4 + (name == "adam")
    assert len(tf.train.Checkpoint(o=optimizer).o.variables) == 4 + (name == "adam")
    assert not optimizer.trainable_variables


@pytest.mark.parametrize(
    ("batch", "rate"),
    [(1, 8e-4), (100, 8e-4), (101, 4e-4), (200, 4e-4), (201, 2e-4), (1001, 8e-4 / 1024)],
)
def test_learning_rate(batch, rate):
    config = Config(learning_rate_start=8e-4, learning_rate_half_life=100)
    assert learning_rate(config, batch) == pytest.approx(rate, rel=1e-12)


def test_learning_rate_of_the_defaults():
    rates = [learning_rate(Config(), batch) for batch in (1, 5000, 5001)]
    assert rates == pytest.approx([1e-4, 1e-4, 5e-5], rel=1e-12)


@pytest.mark.parametrize(
    ("batch", "share"),
    [
        (1, 1.0),
        (26, 0.01 + 0.99 * (2 + math.sqrt(2)) / 4),
        (51, 0.505),
        (101, 0.01),
        (102, 0.01),
        (10**6, 0.01),
    ],
)
def test_cosine_falls_to_a_hundredth_and_stays(batch, share):
    config = Config(learning_rate_start=8e-4, learning_rate_schedule="cosine", learning_rate_batches=100)
    for longer in (0, 500):  # a larger limit changes no batch
        config = dataclasses.replace(config, max_batches=longer)
        assert learning_rate(config, batch) == pytest.approx(8e-4 * share, rel=1e-12)


def test_constant_never_changes():
    config = Config(learning_rate_start=8e-4, learning_rate_schedule="constant", learning_rate_half_life=1)
    assert [learning_rate(config, batch) for batch in (1, 2, 10**6)] == [8e-4] * 3


SMALL = "after batch 35000 the learning rate is under a hundredth of its start"
COSINE = {"learning_rate_schedule": "cosine", "learning_rate_batches": 100}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {},
            f"{SMALL}: further batches change little",
        ),
        ({"max_batches": 35_000}, ""),
        ({"max_batches": 35_001}, SMALL),
        ({"learning_rate_half_life": 1}, "after batch 7 the learning rate is under a hundredth"),
        (COSINE, "after batch 100 the learning rate stays at a hundredth of its start"),
        (COSINE | {"max_batches": 100}, ""),
        (COSINE | {"max_batches": 101}, "after batch 100 the learning rate stays"),
        (COSINE | {"max_batches": 50}, "at the end, batch 50, the learning rate is still 0.52 of its start"),
        (COSINE | {"max_batches": 95}, ""),
        ({"learning_rate_schedule": "constant"}, ""),
    ],
)
def test_when_little_more_is_learned(options, told):
    config = Config(**options)
    found = describe_end_of_schedule(config)
    assert found.startswith(told)
    assert bool(found) == bool(told)
    if "under a hundredth" in told:
        last = int(told.split()[2])
        rates = [learning_rate(config, batch) / config.learning_rate_start for batch in (last, last + 1)]
        assert rates[1] < 0.01 <= rates[0]


# ---- scale of float16 losses -----------------------------------------------------------------------

GOOD, BAD = tf.constant(True), tf.constant(False)


def scale_after(scale: float, good: int, *steps: tf.Tensor) -> tuple[float, int]:
    loss_scale = LossScale()
    loss_scale.scale.assign(scale)
    loss_scale.good.assign(good)
    for finite in steps:
        loss_scale.update(finite)
    return float(loss_scale.scale), int(loss_scale.good)


def test_scale_starts_at_two_to_the_fifteenth():
    loss_scale = LossScale()
    assert (float(loss_scale.scale), int(loss_scale.good)) == (32768, 0)


@pytest.mark.parametrize(
    ("scale", "good", "steps", "expected"),
    [
        (32768, 0, [GOOD], (32768, 1)),
        (32768, 1998, [GOOD], (32768, 1999)),
        (32768, 1998, [GOOD, GOOD], (65536, 0)),
        (32768, 1998, [GOOD, GOOD, GOOD], (65536, 1)),
        (32768, 7, [BAD], (16384, 0)),
        (32768, 1999, [BAD, GOOD], (16384, 1)),
        (32768, 0, [BAD, BAD, BAD], (4096, 0)),
        (2, 0, [BAD, BAD, BAD], (1, 0)),
        (2**24, 1999, [GOOD], (2**24, 0)),
        (2**23, 1999, [GOOD], (2**24, 0)),
    ],
)
def test_scale_is_halved_by_overflow_and_doubled_by_2000_good_steps(scale, good, steps, expected):
    assert scale_after(scale, good, *steps) == expected
