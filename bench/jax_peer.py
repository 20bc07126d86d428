"""The training step in JAX: the same networks, losses and updates, many steps in one compiled scan."""

import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from contender import CRITIC_LAYERS
from jax import Array, lax

from srez.options.config import Config

GENERATOR_WIDTHS = (256, 128)
Weights = list[Array]


def conv(x: Array, weights: Iterator[Array], stride: int = 1) -> Array:
    """Convolution with the next kernel and offset."""
    kernel, offset = next(weights).astype(x.dtype), next(weights).astype(x.dtype)
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=layout) + offset


def norm_relu(x: Array, weights: Iterator[Array]) -> Array:
    """Batch norm with the next offset, then ReLU."""
    y = x.astype(jnp.float32)
    mean = y.mean((0, 1, 2))
    variance = jnp.square(y - mean).mean((0, 1, 2))
    return jax.nn.relu((y - mean) * lax.rsqrt(variance + 1e-3) + next(weights)).astype(x.dtype)


def generator(values: Weights, x: Array) -> Array:
    weights = iter(values)
    for width in GENERATOR_WIDTHS:
        for _ in range(2):
            if x.shape[-1] != width:
                x = conv(x, weights)
            y = conv(norm_relu(x, weights), weights)
            x += conv(norm_relu(y, weights), weights)
        x = norm_relu(x, weights).repeat(2, 1).repeat(2, 2)
        x = conv(x, weights)
    for _ in range(2):
        x = jax.nn.relu(conv(x, weights))
    return jax.nn.sigmoid(conv(x, weights).astype(jnp.float32))


def critic(values: Weights, pictures: Array, dtype: jnp.dtype) -> Array:
    weights = iter(values)
    x = (2 * pictures - 1).astype(dtype)
    for _, _, stride in CRITIC_LAYERS:
        x = norm_relu(conv(x, weights, stride), weights)
    return conv(x, weights).astype(jnp.float32).mean((1, 2, 3))


def weights_of_networks() -> tuple[Weights, Weights]:
    """Of generator and critic, in the order in which they are used."""
    random = np.random.RandomState(0)

    def kernel(size: int, inputs: int, width: int) -> Weights:
        values = random.randn(size, size, inputs, width) / (size * np.sqrt(inputs))
        return [jnp.array(values, jnp.float32), jnp.zeros(width)]

    first, inputs = [], 3
    for width in GENERATOR_WIDTHS:
        for _ in range(2):
            first += kernel(1, inputs, width) if inputs != width else []
            for _ in range(2):
                first += [jnp.zeros(width), *kernel(3, width, width)]
            inputs = width
        first += [jnp.zeros(width), *kernel(3, width, width)]
    first += kernel(3, 128, 96) + kernel(1, 96, 96) + kernel(1, 96, 3)
    second, inputs = [], 3
    for width, size, _ in CRITIC_LAYERS:
        second += [*kernel(size, inputs, width), jnp.zeros(width)]
        inputs = width
    return first, second + kernel(1, 512, 1)


def adam(values: Weights, gradients: Weights, first: Weights, second: Weights, number: Array) -> tuple:
    """New weights and both moments."""
    rate = 1e-4 * jnp.sqrt(1 - 0.9**number) / (1 - 0.5**number)
    first = [0.5 * m + 0.5 * g for m, g in zip(first, gradients, strict=True)]
    second = [0.9 * v + 0.1 * g * g for v, g in zip(second, gradients, strict=True)]
    moves = zip(values, first, second, strict=True)
    return [x - rate * m / (jnp.sqrt(v) + 1e-8) for x, m, v in moves], first, second


def jax_steps(config: Config, label: np.ndarray, feature: np.ndarray, steps: int) -> Callable[[], None]:
    """Does so many steps and returns when they are done. label [B, S, S, 3], feature [B, s, s, 3]."""
    dtype = jnp.dtype(config.precision)
    softplus = jax.nn.softplus
    shape = (len(feature), config.input_size, config.factor, config.input_size, config.factor, 3)

    def losses(second: Weights, output: Array, label: Array, feature: Array) -> tuple[Array, Array]:
        """The critic's and the generator's, from one pass of the critic."""
        real, fake = critic(second, label, dtype), critic(second, output, dtype)
        small = output.reshape(shape).mean((2, 4))
        faithful = jnp.abs(small - feature).mean()
        return softplus(-real).mean() + softplus(fake).mean(), 0.1 * softplus(-fake).mean() + 0.9 * faithful

    def step(state: tuple, data: tuple[Array, Array]) -> tuple[tuple, Array]:
        (one, *moments), (two, *others), number = state
        label, feature = data
        number += 1
        key = jax.random.fold_in(jax.random.PRNGKey(0), number.astype(jnp.int32))
        noisy = feature + config.train_noise * jax.random.normal(key, feature.shape)
        output, back = jax.vjp(lambda values: generator(values, noisy.astype(dtype)), one)
        with_data = functools.partial(losses, label=label, feature=feature)
        (_, loss), back_losses = jax.vjp(with_data, two, output)
        of_critic, _ = back_losses((1.0, 0.0))
        _, of_output = back_losses((0.0, 1.0))
        (of_generator,) = back(of_output)
        new = adam(one, of_generator, *moments, number), adam(two, of_critic, *others, number)
        return (*new, number), loss

    chunk = jax.jit(lambda state, data: lax.scan(step, state, data), donate_argnums=0)
    zeros = [[jnp.zeros_like(x) for x in values] for values in weights_of_networks() for _ in range(2)]
    one, two = weights_of_networks()
    state = [((one, *zeros[:2]), (two, *zeros[2:]), jnp.float32(0))]
    data = tuple(jnp.array(np.broadcast_to(x, (steps, *x.shape)), jnp.float32) for x in (label, feature))

    def run() -> None:
        state[0], loss = chunk(state[0], data)
        jax.block_until_ready(loss)

    return run
