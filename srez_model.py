"""One training step: a pure function of (weights, optimizer state, batch number, data)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from srez.networks.build import build_critic, build_generator, generate, in_groups, shrink, trainable
from srez.networks.replica import assign, mean_over_replicas
from srez.options.config import Config
from srez.training.losses import OBJECTIVES, critic_losses, gradient_penalty
from srez.training.optimizers import OPTIMIZERS, LossScale, sums_of_squares
from srez.training.replicas import Replicas

LOSSES = (
    "generator_loss",
    "discriminator_real_loss",
    "discriminator_fake_loss",
    "discriminator_tot_loss",
    "gradient_penalty",
)
GRADIENT_NORMS = ("generator_gradient_norm", "discriminator_gradient_norm")
FIGURES = (*LOSSES, "wasserstein_estimate", *GRADIENT_NORMS)  # of each step
ALL_FINITE = (-1, -1)


class Gradients(NamedTuple):
    """Losses by name, and both networks' gradients in the order of their variables."""

    losses: dict[str, Tensor]
    generator: list[Tensor]
    critic: list[Tensor]


class Gan(tf.Module):
    """Both networks, their optimizers and the step that trains them.

    compiled: the step is made for `steps`, which XLA compiles, of fewer and larger operations.
    """

    def __init__(self, config: Config, replicas: Replicas | None = None, compiled: bool = False):
        super().__init__()
        self.config, self.objective, self.compiled = config, OBJECTIVES[config.loss_func], compiled
        self.replicas = replicas or Replicas()
        with self.replicas.strategy.scope():
            self.generator, self.critic = build_generator(config), build_critic(config)
            self.generator_variables = trainable(self.generator)
            self.critic_variables = trainable(self.critic)
            self.moving_averages = [variable.value for variable in self.generator.non_trainable_variables]
            make = OPTIMIZERS[config.optimizer]
            self.generator_optimizer = make(self.generator_variables, config)
            self.critic_optimizer = make(self.critic_variables, config)
            # what samples and users get: the generator itself, or a copy that follows it slowly
            self.average = build_generator(config) if config.gene_ema else self.generator
            self.loss_scale = LossScale() if config.precision == "float16" else None
            # (batch, index into `watched`) of the first number that was not finite
            self.first_bad = tf.Variable(ALL_FINITE, trainable=False, dtype=tf.int64)
            if compiled:
                self.training_generator, self.critic_of_both = (
                    in_groups(self.generator, 1),
                    in_groups(self.critic, 2),
                )
            # replicas meet in the middle of a step, which an inner function may not
            if self.replicas.count == 1:
                self.gradients = tf.function(self.gradients, autograph=False)
                self.critic_gradients = tf.function(self.critic_gradients, autograph=False)

    @property
    def watched(self) -> list[str]:
        """Names of everything that must stay finite, in the order of `first_bad`'s index."""
        variables = self.generator.trainable_variables + self.critic.trainable_variables
        return [*LOSSES, *(f"gradient of {variable.path}" for variable in variables)]

    def gradients(self, label: Tensor, feature: Tensor, noisy: Tensor, alpha: Tensor) -> Gradients:
        """Losses and gradients of both networks from one forward pass; moving averages move on.

        label [B, S, S, 3], feature and noisy [B, s, s, 3], alpha [B] in [0, 1] (penalty points).
        """
        with tf.GradientTape(watch_accessed_variables=False) as generator_tape:
            generator_tape.watch(self.generator_variables)
            output = self._generate(noisy, feature)
        # the critic's tape ends at the picture: what lies before it is the other tape's
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as critic_tape:
            critic_tape.watch([output, *self.critic_variables])
            losses, fake = self._critic_losses(label, output, alpha)
            losses["generator_loss"] = self._generator_loss(output, fake, label, feature)
            generator_loss = self._scale(losses["generator_loss"])
            critic_loss = self._scale(losses["discriminator_tot_loss"])
        critic = critic_tape.gradient(critic_loss, self.critic_variables)
        outer = critic_tape.gradient(generator_loss, output)
        generator = generator_tape.gradient(output, self.generator_variables, output_gradients=outer)
        return Gradients(losses, self._unscale(generator), self._unscale(critic))

    def critic_gradients(self, label: Tensor, feature: Tensor, noisy: Tensor, alpha: Tensor) -> Gradients:
        """Losses and gradients of the critic alone; the generator's moving averages stay as they are."""
        averages = [tf.identity(variable) for variable in self.moving_averages]
        output = self._generate(noisy, feature)
        for variable, before in zip(self.moving_averages, averages, strict=True):
            assign(variable, before)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.critic_variables)
            losses, _ = self._critic_losses(label, output, alpha)
            scaled = self._scale(losses["discriminator_tot_loss"])
        return Gradients(losses, [], self._unscale(tape.gradient(scaled, self.critic_variables)))

    def _generate(self, noisy: Tensor, feature: Tensor) -> Tensor:
        generator = self.training_generator if self.compiled else self.generator
        return generate(generator, noisy, feature, self.config.back_projection, training=True)

    def _critic_losses(
        self, label: Tensor, output: Tensor, alpha: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        real, fake = self._critic_outputs(label, output)
        real_loss, fake_loss, total = critic_losses(self.objective, real, fake)
        penalty = tf.zeros([])
        if self.objective.penalized:
            penalty = gradient_penalty(self.critic, label, output, alpha)
            total += self.config.LAMBDA * penalty
        losses = dict(zip(LOSSES[1:], (real_loss, fake_loss, total, penalty), strict=True))
        losses["wasserstein_estimate"] = tf.reduce_mean(fake) - tf.reduce_mean(real)
        return losses, fake

    def _critic_outputs(self, label: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        """The critic's outputs of real and generated pictures, each normalized by themselves."""
        if not self.compiled:
            return self.critic(label, training=True), self.critic(output, training=True)
        return tuple(tf.split(self.critic_of_both(tf.concat([label, output], 0), training=True), 2))

    def _generator_loss(self, output: Tensor, fake: Tensor, label: Tensor, feature: Tensor) -> Tensor:
        adversarial = self.objective.generator(fake)
        if self.config.noise_input:
            return adversarial
        share = self.config.gene_l1_factor
        faithful = tf.reduce_mean(tf.abs(shrink(output, self.config.factor) - feature))
        loss = (1 - share) * adversarial + share * faithful
        if self.config.gene_pixel_factor:
            loss += self.config.gene_pixel_factor * tf.reduce_mean(tf.abs(output - label))
        return loss

    def _scale(self, loss: Tensor) -> Tensor:
        return loss if self.loss_scale is None else loss * self.loss_scale.scale

    def _unscale(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        if self.loss_scale is None:
            return list(gradients)
        return [gradient / self.loss_scale.scale for gradient in gradients]

    @property
    def parts(self) -> dict[str, tf.Module]:
        """The networks, optimizers and loss scale that a checkpoint holds, by name."""
        parts = {
            "generator": self.generator,
            "critic": self.critic,
            "generator_optimizer": self.generator_optimizer,
            "critic_optimizer": self.critic_optimizer,
        }
        if self.loss_scale is not None:
            parts["loss_scale"] = self.loss_scale
        if self.average is not self.generator:
            parts["average"] = self.average
        return parts

    @property
    def state(self) -> list[tf.Variable]:
        """All variables that training changes, each once."""
        networks = [v.value for m in (self.generator, self.critic, self.average) for v in m.variables]
        return list({id(variable): variable for variable in [*networks, *self.variables]}.values())

    def sample(self, feature: Tensor) -> np.ndarray:
        """The generator's pictures of features [N, s, s, 3], a batch at a time: [N, S, S, 3], not clipped."""
        size = self.config.batch_size
        return np.concatenate([self._infer(feature[i : i + size]) for i in range(0, len(feature), size)])

    def critic_mean(self, pictures: Tensor) -> float:
        """The critic's mean output over pictures [N, S, S, 3], in whole batches, as its norm needs them."""
        size = min(self.config.batch_size, len(pictures))
        starts = range(0, len(pictures) - size + 1, size)
        return float(np.mean([self._critic_mean(pictures[i : i + size]) for i in starts]))

    @tf.function(autograph=False, reduce_retracing=True)
    def _critic_mean(self, pictures: Tensor) -> Tensor:
        return tf.reduce_mean(self.critic(pictures))

    @tf.function(autograph=False, reduce_retracing=True)
    def _infer(self, feature: Tensor) -> Tensor:
        return generate(self.average, feature, feature, self.config.back_projection)

    def first_not_finite(self) -> tuple[int, str] | None:
        """Batch and name of the first loss or gradient that was not finite, or None; waits for the device."""
        batch, index = (int(n) for n in self.first_bad.numpy())
        return None if batch < 0 else (batch, self.watched[index])

    @tf.function(autograph=False)
    def step(self, label: Tensor, feature: Tensor, batch: Tensor, rate: Tensor) -> dict[str, Tensor]:
        """Train both networks on one batch (number counted from 1, int64); the losses by name."""
        return self.replicas.run(partial(self._train, self.gradients), label, feature, batch, rate, 0)

    @tf.function(autograph=False)
    def critic_step(self, label: Tensor, feature: Tensor, batch: Tensor, rate: Tensor, turn: Tensor) -> None:
        """Train the critic alone, before the step of `batch`; `turn` counts from 1."""
        self.replicas.run(partial(self._train, self.critic_gradients), label, feature, batch, rate, turn)

    @tf.function(autograph=False, jit_compile=True)
    def steps(
        self,
        label: Tensor,
        feature: Tensor,
        noise: Tensor,
        alpha: Tensor,
        first: Tensor,
        count: Tensor,
        rates: Tensor,
    ) -> Tensor:
        """Train on up to K batches in one compiled loop; each step's FIGURES [K, F], zeros beyond `count`.

        label [K, critic_iters, B, S, S, 3] and feature likewise: of each step the critic's own batches, then
        that of both networks. noise, like feature, and alpha [K, critic_iters, B]: see `random_of_steps`.
        first: the first batch's number, int64; count: how many of the K steps to do, int32; rates [K].
        """
        turns = feature.shape[1]

        def train(gradients: Callable[..., Gradients], i: Tensor, turn: Tensor | int) -> dict[str, Tensor]:
            x = feature[i, turn]
            found = gradients(label[i, turn], x, x + noise[i, turn], alpha[i, turn])
            return found.losses | self.update(found, first + tf.cast(i, tf.int64), rates[i])

        def step(i: Tensor, figures: Tensor) -> tuple[Tensor, Tensor]:
            def critic_step(turn: Tensor) -> tuple[Tensor]:
                train(self.critic_gradients, i, turn)
                return (turn + 1,)

            if turns > 1:
                tf.while_loop(lambda turn: turn < turns - 1, critic_step, (0,))
            found = train(self.gradients, i, turns - 1)
            row = tf.stack([found[name] for name in FIGURES])
            return i + 1, tf.tensor_scatter_nd_update(figures, [[i]], row[None])

        start = (0, tf.zeros([rates.shape[0], len(FIGURES)]))
        return tf.while_loop(lambda i, _: i < count, step, start)[1]

    @tf.function(autograph=False)
    def random_of_steps(self, first: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Training noise [K, critic_iters, B, s, s, 3] and penalty points [K, critic_iters, B] of K steps.

        From batch `first` on, in the order in which `steps` uses them. XLA's random numbers are others.
        """
        config = self.config
        turns, shape = config.critic_iters, [config.batch_size, config.input_size, config.input_size, 3]
        with tf.device("CPU"):  # where the seeds are: a GPU would be waited for
            pairs = [
                self._random(shape, first + i, turn) for i in range(steps) for turn in (*range(1, turns), 0)
            ]
            noise, alpha = (tf.stack(numbers) for numbers in zip(*pairs, strict=True))
            return tf.reshape(noise, [steps, turns, *shape]), tf.reshape(alpha, [steps, turns, shape[0]])

    def _train(
        self,
        gradients: Callable[..., Gradients],
        label: Tensor,
        feature: Tensor,
        batch: Tensor,
        rate: Tensor,
        turn: Tensor | int,
    ) -> dict[str, Tensor]:
        """Train on a replica's part of a batch; the whole batch's losses and norms of gradients, by name."""
        label, feature = self.replicas.part_of_share(label), self.replicas.part_of_share(feature)
        found = mean_over_replicas(gradients(label, feature, *self.random_inputs(feature, batch, turn)))
        return found.losses | self.update(found, batch, rate)

    def random_inputs(self, feature: Tensor, batch: Tensor, turn: Tensor | int) -> tuple[Tensor, Tensor]:
        """The generator's input with training noise, like feature, and penalty points [B] in [0, 1).

        Pure functions of (random_seed, batch, turn); turn counts the critic's own steps before a step from 1.
        """
        shape = tf.shape(feature) * [self.replicas.count, 1, 1, 1]  # the whole batch's
        noise, alpha = self._random(shape, batch, turn)
        return feature + self.replicas.part_of_batch(noise), self.replicas.part_of_batch(alpha)

    def _random(self, shape: Tensor, batch: Tensor, turn: Tensor | int) -> tuple[Tensor, Tensor]:
        """Training noise of a batch of features' shape, and penalty points [B]."""
        place = batch * self.config.critic_iters + tf.cast(turn, tf.int64)
        seed = tf.stack([tf.constant(self.config.random_seed, tf.int64), 2 * place])
        noise = tf.random.stateless_normal(shape, seed, stddev=self.config.train_noise)
        return noise, tf.random.stateless_uniform(shape[:1], tf.stack([seed[0], seed[1] + 1]))

    def update(self, found: Gradients, batch: Tensor, rate: Tensor) -> dict[str, Tensor]:
        """Update both networks, then clip, unless a number is not finite; both gradients' norms by name."""
        finite, norms = self.check_finite(found, batch)
        if self.loss_scale is not None:
            self.loss_scale.update(finite)
        if self.compiled:  # in a loop `tf.cond` would copy every variable
            self._apply_where(finite, found, batch, rate)
        else:
            tf.cond(finite, lambda: self._apply(found, batch, rate), lambda: None)
        return norms

    def _apply_where(self, finite: Tensor, found: Gradients, batch: Tensor, rate: Tensor) -> None:
        """`_apply`, after which the variables get their old values back unless `finite`."""
        old = [tf.identity(variable) for variable in self.state]
        self._apply(found, batch, rate)
        for variable, value in zip(self.state, old, strict=True):
            assign(variable, tf.where(finite, variable, value))

    def check_finite(self, found: Gradients, batch: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Whether all losses and gradients of a batch are finite, and both gradients' norms by name.

        The first that are not are noted in `first_bad`, on the device: nothing waits for it here.
        """
        losses_finite = tf.stack([tf.math.is_finite(found.losses.get(name, 0.0)) for name in LOSSES])
        # a generator without gradients (critic step) counts as finite
        count = len(self.generator_variables)
        gradients = [*(found.generator or [tf.zeros([])] * count), *found.critic]
        squares = sums_of_squares(gradients, together=self.compiled)
        gradients_finite = tf.math.is_finite(squares)
        self._note_bad(losses_finite, gradients_finite, batch)
        norms = (tf.sqrt(tf.reduce_sum(part)) for part in (squares[:count], squares[count:]))
        finite = tf.reduce_all(tf.concat([losses_finite, gradients_finite], 0))
        return finite, dict(zip(GRADIENT_NORMS, norms, strict=True))

    def _apply(self, found: Gradients, batch: Tensor, rate: Tensor) -> None:
        """Update both networks' weights and the generator's average, then clip the critic's weights."""
        if found.generator:
            self.generator_optimizer.apply(self.generator_variables, found.generator, rate)
            if self.average is not self.generator:
                self._update_average(batch)
        self.critic_optimizer.apply(self.critic_variables, found.critic, rate)
        if self.config.clips_weights:
            for variable in self.critic_variables:
                assign(variable, tf.clip_by_value(variable, -self.config.clip_value, self.config.clip_value))

    def _update_average(self, batch: Tensor) -> None:
        """Move the average towards the generator, moving statistics too; faster in the first batches."""
        done = tf.cast(batch, tf.float32)
        share = 1 - tf.minimum(self.config.gene_ema, (1 + done) / (10 + done))
        for slow, fast in zip(self.average.weights, self.generator.weights, strict=True):
            assign(slow, slow + share * (fast - slow))

    def _note_bad(self, losses: Tensor, gradients: Tensor, batch: Tensor) -> None:
        """Keep (batch, index) of the first number that is not finite, on the device."""
        if self.loss_scale is not None:  # an overflow is normal while the scale can still fall
            gradients |= self.loss_scale.scale > LossScale.MIN
        bad = tf.logical_not(tf.concat([losses, gradients], 0))
        here = tf.stack([batch, tf.argmax(bad, output_type=tf.int64)])
        unseen = tf.reduce_all(self.first_bad < 0)
        assign(self.first_bad, tf.where(tf.reduce_any(bad) & unseen, here, self.first_bad))
