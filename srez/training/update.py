"""The update of both networks by their gradients, left out where a number is not finite."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf
from tensorflow import Tensor

from srez.networks.build import trainable
from srez.networks.replica import assign
from srez.options.config import Config
from srez.training.losses import LOSSES
from srez.training.optimizers import OPTIMIZERS, LossScale, sums_of_squares

GRADIENT_NORMS = ("generator_gradient_norm", "discriminator_gradient_norm")
ALL_FINITE = (-1, -1)


class Gradients(NamedTuple):
    """Losses by name, and each network's gradients in the order of its variables: [] where not trained."""

    losses: dict[str, Tensor]
    generator: list[Tensor]
    critic: list[Tensor]


class Updates(tf.Module):
    """Both networks' optimizers, the generator's average, the loss scale, and when not to update.

    average: the generator itself, or a copy that follows it slowly. compiled: for a loop that XLA compiles.
    """

    def __init__(
        self,
        config: Config,
        generator: keras.Model,
        critic: keras.Model,
        average: keras.Model,
        compiled: bool,
    ):
        super().__init__()
        self.config, self.compiled = config, compiled
        self.generator, self.critic, self.average = generator, critic, average
        self.generator_variables, self.critic_variables = trainable(generator), trainable(critic)
        make = OPTIMIZERS[config.optimizer]
        self.generator_optimizer = make(self.generator_variables, config)
        self.critic_optimizer = make(self.critic_variables, config)
        self.loss_scale = LossScale() if config.precision == "float16" else None
        # (batch, index into `watched`) of the first number that was not finite
        self.first_bad = tf.Variable(ALL_FINITE, trainable=False, dtype=tf.int64)

    @property
    def watched(self) -> list[str]:
        """Names of everything that must stay finite, in the order of `first_bad`'s index."""
        variables = self.generator.trainable_variables + self.critic.trainable_variables
        return [*LOSSES, *(f"gradient of {variable.path}" for variable in variables)]

    @property
    def state(self) -> list[tf.Variable]:
        """All variables that training changes, each once."""
        networks = [v.value for m in (self.generator, self.critic, self.average) for v in m.variables]
        return list({id(variable): variable for variable in [*networks, *self.variables]}.values())

    def scale(self, loss: Tensor) -> Tensor:
        """A loss as its gradients are taken of it: larger in float16."""
        return loss if self.loss_scale is None else loss * self.loss_scale.scale

    def unscale(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The gradients of the loss itself, of those of the scaled one."""
        if self.loss_scale is None:
            return list(gradients)
        return [gradient / self.loss_scale.scale for gradient in gradients]

    def first_not_finite(self) -> tuple[int, str] | None:
        """Batch and name of the first loss or gradient that was not finite, or None; waits for the device."""
        batch, index = (int(n) for n in self.first_bad.numpy())
        return None if batch < 0 else (batch, self.watched[index])

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
        # a network without gradients is not trained here, and counts as finite
        none = [tf.zeros([])]
        count = len(self.generator_variables)
        gradients = [
            *(found.generator or none * count),
            *(found.critic or none * len(self.critic_variables)),
        ]
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
        if not found.critic:
            return
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
