"""One training step: a pure function of (weights, optimizer state, batch number, data)."""

from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from srez.metrics.perceptual import lpips_loss
from srez.networks.build import back_project, build_critic, build_generator, generate, in_groups, shrink
from srez.networks.replica import mean_over_replicas
from srez.options.config import Config
from srez.training.losses import LOSSES, OBJECTIVES, critic_losses, gradient_penalty
from srez.training.replicas import Replicas
from srez.training.update import GRADIENT_NORMS, Gradients, Updates

FIGURES = (*LOSSES, "wasserstein_estimate", *GRADIENT_NORMS)  # of each step


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
            # what samples and users get: the generator itself, or a copy that follows it slowly
            self.average = build_generator(config) if config.gene_ema else self.generator
            self.updates = Updates(config, self.generator, self.critic, self.average, compiled)
            self.generator_variables = self.updates.generator_variables
            self.critic_variables = self.updates.critic_variables
            # the same networks, as they are called in training; `still`: moving averages stay as they are
            groups = 1 if compiled else 0
            self.training_generator, self.critic_of_both = self.generator, self.critic
            self.still_generator = in_groups(self.generator, groups, moving=False)
            if compiled:
                self.training_generator = in_groups(self.generator, 1)
                self.critic_of_both = in_groups(self.critic, 2)
            # replicas meet in the middle of a step, which an inner function may not
            if self.replicas.count == 1:
                self.gradients = tf.function(self.gradients, autograph=False)
                self.critic_gradients = tf.function(self.critic_gradients, autograph=False)
                self.generator_gradients = tf.function(self.generator_gradients, autograph=False)

    def gradients(self, label: Tensor, feature: Tensor, noisy: Tensor, alpha: Tensor) -> Gradients:
        """Losses and gradients of both networks from one forward pass; moving averages move on.

        label [B, S, S, 3], feature and noisy [B, s, s, 3], alpha [B] in [0, 1] (penalty points).
        """
        with tf.GradientTape(watch_accessed_variables=False) as generator_tape:
            generator_tape.watch(self.generator_variables)
            own = self.training_generator(noisy, training=True)
        # the critic's tape ends at the picture: what lies before it is the other tape's
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as critic_tape:
            critic_tape.watch([own, *self.critic_variables])
            output = self._project(own, feature)
            losses, fake = self._critic_losses(label, output, alpha)
            losses["generator_loss"] = self._generator_loss(own, output, fake, label, feature)
            generator_loss = self.updates.scale(losses["generator_loss"])
            critic_loss = self.updates.scale(losses["discriminator_tot_loss"])
        critic = critic_tape.gradient(critic_loss, self.critic_variables)
        outer = critic_tape.gradient(generator_loss, own)
        generator = generator_tape.gradient(own, self.generator_variables, output_gradients=outer)
        return Gradients(losses, self.updates.unscale(generator), self.updates.unscale(critic))

    def critic_gradients(self, label: Tensor, feature: Tensor, noisy: Tensor, alpha: Tensor) -> Gradients:
        """Losses and gradients of the critic alone; the generator's moving averages stay as they are."""
        output = self._project(self.still_generator(noisy, training=True), feature)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.critic_variables)
            losses, _ = self._critic_losses(label, output, alpha)
            scaled = self.updates.scale(losses["discriminator_tot_loss"])
        return Gradients(losses, [], self.updates.unscale(tape.gradient(scaled, self.critic_variables)))

    def generator_gradients(self, label: Tensor, feature: Tensor, noisy: Tensor, alpha: Tensor) -> Gradients:
        """Loss and gradients of the generator alone, by the critic as it is; moving averages move on.

        Where critic_iters is 0 also the critic's losses, which only the log is told of.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.generator_variables)
            own = self.training_generator(noisy, training=True)
            output = self._project(own, feature)
            if self.config.critic_iters:
                losses, fake = {}, self.critic(output)
            else:
                losses, fake = self._critic_losses(label, output, alpha)
            losses["generator_loss"] = self._generator_loss(own, output, fake, label, feature)
            scaled = self.updates.scale(losses["generator_loss"])
        gradients = tape.gradient(scaled, self.generator_variables)
        return Gradients(losses, self.updates.unscale(gradients), [])

    def _project(self, own: Tensor, feature: Tensor) -> Tensor:
        """The picture to judge, of the generator's own."""
        return back_project(own, feature, self.config.back_projection)

    def _critic_losses(
        self, label: Tensor, output: Tensor, alpha: Tensor, training: bool = True
    ) -> tuple[dict[str, Tensor], Tensor]:
        real, fake = self._critic_outputs(label, output, training and self.config.critic_iters > 0)
        real_loss, fake_loss, total = critic_losses(self.objective, real, fake)
        penalty = tf.zeros([])
        if self.objective.penalized:
            penalty = gradient_penalty(self.critic, label, output, alpha)
            total += self.config.LAMBDA * penalty
        losses = dict(zip(LOSSES[1:], (real_loss, fake_loss, total, penalty), strict=True))
        losses["wasserstein_estimate"] = tf.reduce_mean(fake) - tf.reduce_mean(real)
        return losses, fake

    def _critic_outputs(self, label: Tensor, output: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """The critic's outputs of real and generated pictures, each normalized by themselves."""
        if not self.compiled:
            return self.critic(label, training=training), self.critic(output, training=training)
        return tuple(tf.split(self.critic_of_both(tf.concat([label, output], 0), training=training), 2))

    def _generator_loss(
        self, own: Tensor, output: Tensor, fake: Tensor, label: Tensor, feature: Tensor
    ) -> Tensor:
        """own: the generator's picture before back projection, which alone would satisfy the L1 term."""
        adversarial = self._adversarial_loss(fake)
        if self.config.noise_input:
            return adversarial
        # of degraded inputs the clean one is wanted
        clean = feature if self.config.degrade == "off" else shrink(label, self.config.factor)
        faithful = tf.reduce_mean(tf.abs(shrink(own, self.config.factor) - clean))
        loss = adversarial + self.config.gene_l1_factor * faithful
        if self.config.gene_pixel_factor:
            loss += self.config.gene_pixel_factor * tf.reduce_mean(tf.abs(output - label))
        if self.config.gene_lpips_factor:
            loss += self.config.gene_lpips_factor * lpips_loss(output, label)
        return loss

    def _adversarial_loss(self, fake: Tensor) -> Tensor:
        """What the critic's outputs of generated pictures add to the generator's loss."""
        share = 1.0 if self.config.noise_input else 1 - self.config.gene_l1_factor
        return share * self.objective.generator(fake) if share else tf.zeros([])

    @property
    def parts(self) -> dict[str, tf.Module]:
        """The networks, optimizers and loss scale that a checkpoint holds, by name."""
        parts = {
            "generator": self.generator,
            "critic": self.critic,
            "generator_optimizer": self.updates.generator_optimizer,
            "critic_optimizer": self.updates.critic_optimizer,
        }
        if self.updates.loss_scale is not None:
            parts["loss_scale"] = self.updates.loss_scale
        if self.average is not self.generator:
            parts["average"] = self.average
        return parts

    def sample(self, feature: Tensor) -> np.ndarray:
        """The generator's pictures of features [N, s, s, 3], a batch at a time: [N, S, S, 3], not clipped."""
        size = self.config.batch_size
        return np.concatenate([self._infer(feature[i : i + size]) for i in range(0, len(feature), size)])

    def examine(self, label: Tensor, feature: Tensor) -> dict[str, float]:
        """The critic on faces [N, S, S, 3], [N, s, s, 3] that are not trained on: means over whole batches.

        By the passes that train, with their noise, but the weights stay as they are. wasserstein_estimate,
        gradient_penalty, and critic_gradient_share: |a| / (|a| + |b|) of the gradients with respect to the
        generator's own picture of the adversarial term, a, and of the other terms of its loss, b.
        """
        size = min(self.config.batch_size, len(label))
        starts = range(0, len(label) - size + 1, size)
        found = [
            self._examine(label[i : i + size], feature[i : i + size], tf.constant(np.int64(-i)))
            for i in starts
        ]
        return {name: float(np.mean([part[name] for part in found])) for name in found[0]}

    @tf.function(autograph=False, reduce_retracing=True)
    def _examine(self, label: Tensor, feature: Tensor, batch: Tensor) -> dict[str, Tensor]:
        noise, alpha = self._random(tf.shape(feature), batch, 0)
        own = self.still_generator(feature + noise, training=True)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(own)
            output = self._project(own, feature)
            fake = self.critic(output)
            adversarial = self._adversarial_loss(fake)
            total = self._generator_loss(own, output, fake, label, feature)
        ours, all_terms = (
            tape.gradient(loss, own, unconnected_gradients="zero") for loss in (adversarial, total)
        )
        one, other = tf.norm(ours), tf.norm(all_terms - ours)
        losses, _ = self._critic_losses(label, output, alpha, training=False)
        names = ("wasserstein_estimate", "gradient_penalty")
        share = tf.math.divide_no_nan(one, one + other)
        return {name: losses[name] for name in names} | {"critic_gradient_share": share}

    @tf.function(autograph=False, reduce_retracing=True)
    def _infer(self, feature: Tensor) -> Tensor:
        return generate(self.average, feature, feature, self.config.back_projection)

    @tf.function(autograph=False)
    def step(self, label: Tensor, feature: Tensor, batch: Tensor, rate: Tensor) -> dict[str, Tensor]:
        """Train both networks on one batch (number counted from 1, int64); FIGURES by name."""
        return self.replicas.run(partial(self._train, self._train_both), label, feature, batch, rate, 0)

    @tf.function(autograph=False)
    def critic_step(self, label: Tensor, feature: Tensor, batch: Tensor, rate: Tensor, turn: Tensor) -> None:
        """Train the critic alone, before the step of `batch`; `turn` counts from 1."""
        self.replicas.run(partial(self._train, self._train_critic), label, feature, batch, rate, turn)

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

        label [K, batches_per_step, B, S, S, 3] and feature likewise: of each step the critic's own batches,
        then that of both networks. noise, like feature, and alpha [K, batches_per_step, B]: see
        `random_of_steps`.
        first: the first batch's number, int64; count: how many of the K steps to do, int32; rates [K].
        """
        turns = feature.shape[1]

        def data(i: Tensor, turn: Tensor | int) -> tuple[Tensor, ...]:
            x = feature[i, turn]
            return label[i, turn], x, x + noise[i, turn], alpha[i, turn]

        def step(i: Tensor, figures: Tensor) -> tuple[Tensor, Tensor]:
            numbers = first + tf.cast(i, tf.int64), rates[i]

            def critic_step(turn: Tensor) -> tuple[Tensor]:
                self._train_critic(*data(i, turn), *numbers)
                return (turn + 1,)

            if turns > 1:
                tf.while_loop(lambda turn: turn < turns - 1, critic_step, (0,))
            found = self._train_both(*data(i, turns - 1), *numbers)
            row = tf.stack([found[name] for name in FIGURES])
            return i + 1, tf.tensor_scatter_nd_update(figures, [[i]], row[None])

        start = (0, tf.zeros([rates.shape[0], len(FIGURES)]))
        return tf.while_loop(lambda i, _: i < count, step, start)[1]

    @tf.function(autograph=False)
    def random_of_steps(self, first: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Training noise [K, batches_per_step, B, s, s, 3] and penalty points [K, batches_per_step, B].

        Of K steps from batch `first` on, in the order in which `steps` uses them. XLA's random numbers are
        others.
        """
        config = self.config
        turns, shape = config.batches_per_step, [config.batch_size, config.input_size, config.input_size, 3]
        with tf.device("CPU"):  # where the seeds are: a GPU would be waited for
            pairs = [
                self._random(shape, first + i, turn) for i in range(steps) for turn in (*range(1, turns), 0)
            ]
            noise, alpha = (tf.stack(numbers) for numbers in zip(*pairs, strict=True))
            return tf.reshape(noise, [steps, turns, *shape]), tf.reshape(alpha, [steps, turns, shape[0]])

    def _train(
        self, train: Callable, label: Tensor, feature: Tensor, batch: Tensor, rate: Tensor, turn: Tensor | int
    ) -> dict[str, Tensor]:
        """Train on a replica's part of a batch; the whole batch's figures by name."""
        label, feature = self.replicas.part_of_share(label), self.replicas.part_of_share(feature)
        return train(label, feature, *self.random_inputs(feature, batch, turn), batch, rate)

    def _train_both(self, *data_and_numbers: Tensor) -> dict[str, Tensor]:
        """A step of both networks, as in 2017 together; with more critic steps one after the other.

        The generator then sees the critic after its last update, on the batch of that. With none the
        generator's step alone. FIGURES by name.
        """
        if self.config.critic_iters == 1:
            return self._update_by(self.gradients, *data_and_numbers)
        if not self.config.critic_iters:
            return self._update_by(self.generator_gradients, *data_and_numbers)
        critic = self._train_critic(*data_and_numbers)
        generator = self._update_by(self.generator_gradients, *data_and_numbers)
        return critic | {name: generator[name] for name in ("generator_loss", "generator_gradient_norm")}

    def _train_critic(self, *data_and_numbers: Tensor) -> dict[str, Tensor]:
        return self._update_by(self.critic_gradients, *data_and_numbers)

    def _update_by(self, gradients: Callable[..., Gradients], *data_and_numbers: Tensor) -> dict[str, Tensor]:
        """Update by the gradients at (label, feature, noisy, alpha); losses and norms by name."""
        *data, batch, rate = data_and_numbers
        found = mean_over_replicas(gradients(*data))
        return found.losses | self.updates.update(found, batch, rate)

    def random_inputs(self, feature: Tensor, batch: Tensor, turn: Tensor | int) -> tuple[Tensor, Tensor]:
        """The generator's input with training noise, like feature, and penalty points [B] in [0, 1).

        Pure functions of (random_seed, batch, turn); turn counts the critic's own steps before a step from 1.
        """
        shape = tf.shape(feature) * [self.replicas.count, 1, 1, 1]  # the whole batch's
        noise, alpha = self._random(shape, batch, turn)
        return feature + self.replicas.part_of_batch(noise), self.replicas.part_of_batch(alpha)

    def _random(self, shape: Tensor, batch: Tensor, turn: Tensor | int) -> tuple[Tensor, Tensor]:
        """Training noise of a batch of features' shape, and penalty points [B]."""
        place = batch * self.config.batches_per_step + tf.cast(turn, tf.int64)
        seed = tf.stack([tf.constant(self.config.random_seed, tf.int64), 2 * place])
        noise = tf.random.stateless_normal(shape, seed, stddev=self.config.train_noise)
        return noise, tf.random.stateless_uniform(shape[:1], tf.stack([seed[0], seed[1] + 1]))
