"""Optimizers as TensorFlow 1 defined them, as a table; and the scale of float16 losses."""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow import Tensor

from srez.networks.replica import assign
from srez.options.config import Config

Variables = Sequence[tf.Variable]


def _slots(variables: Variables, value: float, name: str) -> list[tf.Variable]:
    return [
        tf.Variable(tf.fill(v.shape, tf.constant(value, v.dtype)), trainable=False, name=f"{name}_{i}")
        for i, v in enumerate(variables)
    ]


class Adam(tf.Module):
    """Kingma and Ba 2015, with epsilon as in the paragraph before section 2.1 ("epsilon hat")."""

    def __init__(self, variables: Variables, beta1: float, beta2: float, epsilon: float):
        super().__init__()
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.updates = tf.Variable(0, trainable=False, dtype=tf.int64, name="updates")
        self.first, self.second = _slots(variables, 0.0, "first"), _slots(variables, 0.0, "second")

    def apply(self, variables: Variables, gradients: Sequence[Tensor], rate: Tensor) -> None:
        """One update of all variables with one gradient each, in the order of the constructor."""
        updates = self.updates + 1
        assign(self.updates, updates)
        power = tf.cast(updates, tf.float32)
        together = zip(variables, gradients, self.first, self.second, strict=True)
        for variable, gradient, first, second in together:
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=tf.pow(self.beta1, power),
                beta2_power=tf.pow(self.beta2, power),
                lr=rate,
                beta1=self.beta1,
                beta2=self.beta2,
                epsilon=self.epsilon,
                grad=gradient,
            )


class RMSprop(tf.Module):
    """Hinton's lecture 6e: decay 0.9, 1e-10 inside the root, mean square starting at one (Keras: at zero)."""

    def __init__(self, variables: Variables):
        super().__init__()
        self.square, self.momentum = _slots(variables, 1.0, "square"), _slots(variables, 0.0, "momentum")

    def apply(self, variables: Variables, gradients: Sequence[Tensor], rate: Tensor) -> None:
        """One update of all variables with one gradient each, in the order of the constructor."""
        together = zip(variables, gradients, self.square, self.momentum, strict=True)
        for variable, gradient, square, momentum in together:
            tf.raw_ops.ResourceApplyRMSProp(
                var=variable.handle,
                ms=square.handle,
                mom=momentum.handle,
                lr=rate,
                rho=0.9,
                momentum=0.0,
                epsilon=1e-10,
                grad=gradient,
            )


OPTIMIZERS: dict[str, Callable[[Variables, Config], tf.Module]] = {
    "adam": lambda variables, c: Adam(variables, c.learning_beta1, c.learning_beta2, c.epsilon),
    "rmsprop": lambda variables, c: RMSprop(variables),
}


def _cosine(batch: int, config: Config) -> float:
    """0.01 + 0.99 (1 + cos(pi t)) / 2 with t = (n - 1) / learning_rate_batches, at most 1."""
    t = min((batch - 1) / config.learning_rate_batches, 1.0)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * t)) / 2


# the share of learning_rate_start that batch n, counted from 1, is trained with
SCHEDULES: dict[str, Callable[[int, Config], float]] = {
    "half_life": lambda batch, c: 0.5 ** ((batch - 1) // c.learning_rate_half_life),
    "cosine": _cosine,
    "constant": lambda batch, c: 1.0,
}


SMALL = 0.1  # share of the first learning rate at which a training has settled


def learning_rate(config: Config, batch: int) -> float:
    """The rate of a batch, counted from 1, by learning_rate_schedule: learning_rate_start times its share."""
    return config.learning_rate_start * SCHEDULES[config.learning_rate_schedule](batch, config)


def describe_end_of_schedule(config: Config) -> str:
    """From which batch on little is learned, or that the rate will not fall, in one line, or nothing."""
    first_small = 1 + 7 * config.learning_rate_half_life  # 0.5^7 is the first power below a hundredth
    planned = config.max_batches or math.inf
    if config.learning_rate_schedule == "half_life" and planned >= first_small:
        after = f"after batch {first_small - 1} the learning rate is under a hundredth of its start"
        return f"{after}: further batches change little"
    if config.learning_rate_schedule == "cosine" and planned > config.learning_rate_batches:
        return (
            f"after batch {config.learning_rate_batches} the learning rate stays at a hundredth of its start"
        )
    share = learning_rate(config, config.max_batches or 1) / config.learning_rate_start
    if config.learning_rate_schedule == "cosine" and config.max_batches and share > SMALL:
        return (
            f"at the end, batch {config.max_batches}, the learning rate is still {share:.2f} of its start: "
            f"--learning_rate_batches={config.max_batches} would let it fall"
        )
    return ""


class LossScale(tf.Module):
    """Dynamic scale of float16 losses: halved when a gradient overflows, doubled after 2,000 good steps."""

    START, MIN, MAX, GROWTH_STEPS = 2.0**15, 1.0, 2.0**24, 2000

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(self.START, trainable=False, name="scale")
        self.good = tf.Variable(0, trainable=False, dtype=tf.int64, name="good")

    def update(self, finite: Tensor) -> None:
        """Halve or double the scale where due, after a step whose gradients were all finite or not."""
        good = tf.where(finite, self.good + 1, 0)
        grow = good >= self.GROWTH_STEPS
        factor = tf.where(finite, tf.where(grow, 2.0, 1.0), 0.5)
        assign(self.scale, tf.clip_by_value(self.scale * factor, self.MIN, self.MAX))
        assign(self.good, tf.where(grow, tf.zeros_like(good), good))


BLOCK = 1024  # numbers whose squares are summed in one go


def sums_of_squares(tensors: Sequence[Tensor], together: bool) -> Tensor:
    """The sum of squares of each of n tensors, [n]; together: in few operations, for a GPU."""
    if not together:
        return tf.stack([2 * tf.nn.l2_loss(tensor) for tensor in tensors])
    parts, owners = [], []
    for i, tensor in enumerate(tensors):
        size = tensor.shape.num_elements()
        blocks = -(-size // BLOCK)
        parts.append(tf.pad(tf.reshape(tensor, [-1]), [[0, blocks * BLOCK - size]]))
        owners += [i] * blocks
    sums = tf.reduce_sum(tf.square(tf.reshape(tf.concat(parts, 0), [-1, BLOCK])), 1)
    # a segment sum would be a scatter, which takes a tenth of the step
    own = tf.equal(tf.constant(owners)[:, None], tf.range(len(tensors)))
    return tf.reduce_sum(tf.where(own, sums[:, None], 0.0), 0)
