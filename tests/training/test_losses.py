"""Objectives on numbers worked out by hand, and the gradient penalty in closed form."""

import math

import numpy as np
import pytest
import tensorflow as tf

from srez.options.config import Config, fields
from srez.training.losses import OBJECTIVES, critic_losses, gradient_penalty

LN2, LN3, LN4 = math.log(2), math.log(3), math.log(4)
REAL, FAKE = tf.constant([[LN3], [0.0]]), tf.constant([[LN3], [-LN3], [LN3], [0.0]])
MEAN_REAL, MEAN_FAKE = LN3 / 2, LN3 / 4


# -log(sigmoid): 4/3 for ln 3, 2 for 0, 4 for -ln 3
DCGAN = {
    "real": (math.log(4 / 3) + LN2) / 2,
    "fake": (LN4 + math.log(4 / 3) + LN4 + LN2) / 4,
    "generator": (math.log(4 / 3) + LN4 + math.log(4 / 3) + LN2) / 4,
}


# half mean squares: from one for real, from zero for fake, from one for the generator
LSGAN = (
    ((LN3 - 1) ** 2 + 1) / 4,
    3 * LN3**2 / 8,
    (2 * (LN3 - 1) ** 2 + (LN3 + 1) ** 2 + 1) / 8,
)
# ln 3 is beyond the margin of one: no loss for real, and none for fake where it is negative
HINGE = ((0 + 1) / 2, (2 * (1 + LN3) + 0 + 1) / 4, -LN3 / 4)


@pytest.mark.parametrize(
    ("name", "real", "fake", "total", "generator"),
    [
        ("dcgan", DCGAN["real"], DCGAN["fake"], DCGAN["real"] + DCGAN["fake"], DCGAN["generator"]),
        ("wgan", MEAN_REAL, MEAN_FAKE, MEAN_REAL - MEAN_FAKE, MEAN_FAKE),
        ("wgangp", MEAN_REAL, MEAN_FAKE, MEAN_REAL - MEAN_FAKE, MEAN_FAKE),
        ("lsgan", *LSGAN[:2], sum(LSGAN[:2]), LSGAN[2]),
        ("hinge", *HINGE[:2], sum(HINGE[:2]), HINGE[2]),
    ],
)
def test_objectives(name, real, fake, total, generator):
    losses = critic_losses(OBJECTIVES[name], REAL, FAKE)
    assert [float(loss) for loss in losses] == pytest.approx([real, fake, total], rel=1e-6)
    assert float(OBJECTIVES[name].generator(FAKE)) == pytest.approx(generator, rel=1e-6)


def test_cross_entropies_of_certain_critics_stay_finite():
    for logit in (-200.0, 200.0):
        real, fake, _ = critic_losses(OBJECTIVES["dcgan"], tf.fill([2, 1], logit), tf.fill([2, 1], logit))
        assert (float(real), float(fake)) == (max(-logit, 0), max(logit, 0))


def test_only_wgangp_is_penalized_and_every_objective_can_be_chosen():
    assert [name for name, objective in OBJECTIVES.items() if objective.penalized] == ["wgangp"]
    (choices,) = (f.metadata["choices"] for f in fields() if f.name == "loss_func")
    assert set(choices) == set(OBJECTIVES)


@pytest.mark.parametrize(
    ("loss_func", "weigh_clip", "clips"),
    [
        ("dcgan", -1, False),
        ("wgan", -1, True),
        ("wgangp", -1, False),
        ("dcgan", 1, True),
        ("wgan", 0, False),
    ],
)
def test_which_objective_clips(loss_func, weigh_clip, clips):
    assert Config(loss_func=loss_func, weigh_clip=weigh_clip).clips_weights is clips


# ---- gradient penalty ------------------------------------------------------------------------------


def pictures(*values: float) -> tf.Tensor:
    """Pictures [n, 2, 2, 1], each of one value: twice the value is the norm."""
    return tf.constant(np.reshape(values, (-1, 1, 1, 1)) * np.ones((1, 2, 2, 1)), tf.float32)


def bowl(x: tf.Tensor) -> tf.Tensor:
    """A critic whose gradient is the picture itself."""
    return tf.reduce_sum(x**2, axis=[1, 2, 3])[:, None] / 2


def test_penalty_of_a_linear_critic():
    weights = tf.Variable(np.float32([3, 0, 0, -4]).reshape(2, 2, 1))  # of norm 5
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(
            lambda x: tf.reduce_sum(weights * x, axis=[1, 2, 3])[:, None],
            pictures(0.1, 0.7, 0.3),
            pictures(0.5, 0.2, 0.9),
            tf.constant([0.0, 0.4, 1.0]),
        )
    assert float(penalty) == pytest.approx(16)  # (5 - 1)^2
    gradient = tape.gradient(penalty, weights)  # 2 (5 - 1) w / 5
    np.testing.assert_allclose(gradient[:, :, 0], [[4.8, 0], [0, -6.4]], atol=1e-5)


def test_penalty_is_taken_between_real_and_fake():
    real, fake, alpha = pictures(1.0, 3.0, 0.0), pictures(5.0, -1.0, 2.0), tf.constant([0.25, 1.0, 0.9])
    # at 0.25 * 1 + 0.75 * 5 = 4, 3 and 0.2, so norms of 8, 6 and 0.4
    expected = (7**2 + 5**2 + 0.6**2) / 3
    assert float(gradient_penalty(bowl, real, fake, alpha)) == pytest.approx(expected)


def test_penalty_of_a_flat_critic_has_a_finite_gradient():
    slope = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(
            lambda x: slope * tf.reduce_sum(x, axis=[1, 2, 3])[:, None],
            *(pictures(1.0), pictures(2.0), tf.constant([0.5])),
        )
    assert float(penalty) == 1
    assert float(tape.gradient(penalty, slope)) == 0


def test_a_sample_with_a_gradient_of_zero_leaves_the_others_alone():
    scale = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(
            lambda x: scale * bowl(x), *(pictures(0.0, 1.5), pictures(0.0, 1.5), tf.constant([0.3, 0.6]))
        )
    # norms 0 and scale * 3; the mean of 1 and (3 scale - 1)^2, and its derivative 3 (3 scale - 1)
    assert float(penalty) == pytest.approx((1 + 25) / 2)
    assert float(tape.gradient(penalty, scale)) == pytest.approx(15)
