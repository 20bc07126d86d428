"""Objectives as a table, and the gradient penalty; signs as in 2017: a Wasserstein critic is low for real,
all others are high."""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf
from tensorflow import Tensor

LOSSES = (
    "generator_loss",
    "discriminator_real_loss",
    "discriminator_fake_loss",
    "discriminator_tot_loss",
    "gradient_penalty",
)  # of a step, by name


@dataclass(frozen=True)
class Objective:
    """Three losses of critic outputs [B, 1], each a mean over the batch; `penalized` adds LAMBDA * penalty.

    The critic minimizes critic_real(real) + fake_sign * critic_fake(fake); the generator generator(fake).
    """

    critic_real: Callable[[Tensor], Tensor]
    critic_fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    fake_sign: float = 1.0
    penalized: bool = False


def _cross_entropy_one(logits: Tensor) -> Tensor:
    return tf.reduce_mean(tf.math.softplus(-logits))


def _cross_entropy_zero(logits: Tensor) -> Tensor:
    return tf.reduce_mean(tf.math.softplus(logits))


def _half_square_from(target: float) -> Callable[[Tensor], Tensor]:
    return lambda outputs: tf.reduce_mean(tf.square(outputs - target)) / 2


OBJECTIVES = {
    # Goodfellow et al. 2014, with the generator's non-saturating loss
    "dcgan": Objective(_cross_entropy_one, _cross_entropy_zero, _cross_entropy_one),
    # Arjovsky et al. 2017, algorithm 1, with 2017's sign: real - fake is minimized
    "wgan": Objective(tf.reduce_mean, tf.reduce_mean, tf.reduce_mean, fake_sign=-1.0),
    # Gulrajani et al. 2017, equation 3
    "wgangp": Objective(tf.reduce_mean, tf.reduce_mean, tf.reduce_mean, fake_sign=-1.0, penalized=True),
    # Mao et al. 2017, equation 9
    "lsgan": Objective(_half_square_from(1.0), _half_square_from(0.0), _half_square_from(1.0)),
    # Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17
    "hinge": Objective(
        lambda real: tf.reduce_mean(tf.nn.relu(1 - real)),
        lambda fake: tf.reduce_mean(tf.nn.relu(1 + fake)),
        lambda fake: -tf.reduce_mean(fake),
    ),
}


def critic_losses(objective: Objective, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Real part, fake part and what the critic minimizes, without penalty."""
    real_loss, fake_loss = objective.critic_real(real), objective.critic_fake(fake)
    return real_loss, fake_loss, real_loss + objective.fake_sign * fake_loss


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """Mean over samples of (||gradient||_2 - 1)^2 at alpha * real + (1 - alpha) * fake, alpha [B].

    Gulrajani et al. 2017, equation 3. The norm's own gradient is zero, not infinite, at zero.
    """
    alpha = alpha[:, None, None, None]
    between = alpha * real + (1 - alpha) * fake
    with tf.GradientTape() as tape:
        tape.watch(between)
        output = critic(between)
    gradient = tape.gradient(output, between)
    square = tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3])
    norm = tf.where(square > 0, tf.sqrt(tf.where(square > 0, square, 1.0)), 0.0)
    return tf.reduce_mean(tf.square(norm - 1))
