"""Fresh critics: how far generated pictures are from real ones, by critics trained from scratch on them."""

import dataclasses

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from srez.networks.build import build_critic, trainable
from srez.networks.replica import assign
from srez.options.config import Config
from srez.options.rules import FRESH_BATCH
from srez.training.losses import OBJECTIVES, critic_losses, gradient_penalty
from srez.training.optimizers import OPTIMIZERS, learning_rate

STEPS = 320
# The same for every training, so that their figures can be compared. Objective, norm and betas are those of
# Gulrajani et al. 2017; rate, batch and length are our own, for a critic that has learned in seconds.
OBJECTIVE = OBJECTIVES["wgangp"]
RECIPE = {
    "critic_norm": "layer",
    "LAMBDA": 10.0,
    "optimizer": "adam",
    "learning_beta1": 0.0,
    "learning_beta2": 0.9,
    "epsilon": 1e-8,
    "learning_rate_start": 2e-3,
    "learning_rate_schedule": "cosine",
    "learning_rate_batches": STEPS,
    "precision": "float32",
}
FIGURES = ("fresh_wasserstein_estimate", "fresh_gradient_penalty")


def is_due(config: Config, batch: int) -> bool:
    """Whether fresh critics are trained at a batch: one of summary_period times 1, 2, 4, 8, ..."""
    samples, rest = divmod(batch, config.summary_period)
    return config.fresh_critics > 0 and rest == 0 and samples.bit_count() == 1


class FreshCritics:
    """WGAN-GP critics of a run's width, each trained for STEPS steps on half of some faces.

    The network and its compiled step are made once, the weights anew for every critic.
    """

    def __init__(self, config: Config):
        self.config = dataclasses.replace(config, **RECIPE)
        self.critic = build_critic(self.config)
        self.variables = trainable(self.critic)
        self.optimizer = OPTIMIZERS["adam"](self.variables, self.config)

    def measure(self, real: np.ndarray, generated: np.ndarray, batch: int) -> dict[str, float]:
        """FIGURES by name, means over fresh_critics: estimate (fake - real) and penalty on the other half.

        real and generated [N, S, S, 3]: the same faces in the same order. Critics take turns which half they
        are trained on. A pure function of the pictures and of (random_seed, batch).
        """
        halves = [(real[i::2], generated[i::2]) for i in range(2)]
        found = []
        for critic in range(self.config.fresh_critics):
            random = np.random.default_rng([self.config.random_seed, batch, critic])
            self._train(*halves[critic % 2], random)
            found.append(self._read(*halves[1 - critic % 2], random))
        return dict(zip(FIGURES, np.mean(found, axis=0).tolist(), strict=True))

    def _train(self, real: np.ndarray, generated: np.ndarray, random: np.random.Generator) -> None:
        """Train from scratch; each step on FRESH_BATCH faces drawn by lot, real and generated of the same."""
        self._begin(int(random.integers(2**31)))
        for step in range(1, STEPS + 1):
            faces = random.integers(len(real), size=FRESH_BATCH)
            alpha = random.random(FRESH_BATCH, np.float32)
            rate = np.float32(learning_rate(self.config, step))
            self._step(*map(tf.constant, (real[faces], generated[faces], alpha, rate)))

    def _read(self, real: np.ndarray, generated: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The trained critic's FIGURES over faces, [2]."""
        parts = np.array_split(np.arange(len(real)), len(real) // FRESH_BATCH)  # of two sizes at most
        alphas = [random.random(len(part), np.float32) for part in parts]
        found = [
            self._figures(*map(tf.constant, (real[part], generated[part], alpha)))
            for part, alpha in zip(parts, alphas, strict=True)
        ]
        return np.average(found, axis=0, weights=[len(part) for part in parts])

    def _begin(self, seed: int) -> None:
        """The critic's first weights, those of a training with this seed, and the optimizer's first state."""
        beginning = build_critic(dataclasses.replace(self.config, random_seed=seed))
        for variable, value in zip(self.variables, trainable(beginning), strict=True):
            assign(variable, value)
        for variable in self.optimizer.variables:
            assign(variable, tf.zeros_like(variable))

    @tf.function(autograph=False)
    def _step(self, real: Tensor, generated: Tensor, alpha: Tensor, rate: Tensor) -> None:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.variables)
            *_, loss = critic_losses(OBJECTIVE, self.critic(real), self.critic(generated))
            loss += self.config.LAMBDA * gradient_penalty(self.critic, real, generated, alpha)
        self.optimizer.apply(self.variables, tape.gradient(loss, self.variables), rate)

    @tf.function(autograph=False, reduce_retracing=True)
    def _figures(self, real: Tensor, generated: Tensor, alpha: Tensor) -> Tensor:
        estimate = tf.reduce_mean(self.critic(generated)) - tf.reduce_mean(self.critic(real))
        return tf.stack([estimate, gradient_penalty(self.critic, real, generated, alpha)])
