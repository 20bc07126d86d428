"""Networks: initial weights, shapes, the upscale in one step, both normalizations, back projection."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from srez.networks.build import (
    back_project,
    build_critic,
    build_generator,
    enlarge,
    generate,
    in_groups,
    shrink,
    trainable,
)
from srez.networks.layers import Conv, CriticNorm, Deconv, GeneratorNorm, SpectralConv, UpscaleConv
from srez.options.config import Config

CUT_AT_TWO = 0.8796  # standard deviation of a unit normal cut off at two sigma

# kernel size, in, out, gain; counted by hand from the 2017 networks
LAST = [(3, 128, 96, 2), (1, 96, 96, 2), (1, 96, 3, 1)]
KERNELS = {
    "resnet": [
        *[(1, 3, 256, 1), *[(3, 256, 256, 1e-3)] * 4, (3, 256, 256, 1)],
        *[(1, 256, 128, 1), *[(3, 128, 128, 1e-3)] * 4, (3, 128, 128, 1)],
        *LAST,
    ],
    "deconv": [(3, 3, 256, 1), (3, 256, 128, 1), *LAST],
    "deconv_projected": [(1, 3, 256, 1), (3, 256, 256, 1), (3, 256, 128, 1), *LAST],
    "critic": [
        *[(3, 3, 64, 2), (3, 64, 128, 2), (3, 128, 256, 2), (3, 256, 512, 2)],
        *[(3, 512, 512, 2), (1, 512, 512, 2), (1, 512, 1, 2)],
    ],
}


def build(network: str, **options) -> keras.Model:
    if network == "critic":
        return build_critic(Config(**options))
    return build_generator(Config(gen_architect=network, **options))


def kernels(model: keras.Model) -> list[np.ndarray]:
    return [v.numpy() for v in trainable(model) if len(v.shape) == 4]


def offsets(model: keras.Model) -> list[np.ndarray]:
    return [v.numpy() for v in trainable(model) if len(v.shape) == 1]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


def faces(count: int, size: int, seed: int = 0) -> tf.Tensor:
    """Smooth made-up pictures in [0, 1]."""
    coarse = np.random.RandomState(seed).rand(count, 6, 6, 3).astype(np.float32)
    return tf.clip_by_value(tf.image.resize(coarse, [size, size], method="bicubic"), 0, 1)


# ---- initial weights -------------------------------------------------------------------------------


@pytest.mark.parametrize("network", KERNELS)
def test_initial_weights_have_the_variance_of_2017(network):
    model = build(network)
    found = kernels(model)
    assert [k.shape for k in found] == [(s, s, i, o) for s, i, o, _ in KERNELS[network]]
    for kernel, (size, inputs, outputs, gain) in zip(found, KERNELS[network], strict=True):
        nominal = math.sqrt(gain / (math.sqrt(inputs * outputs) * size**2))
        error = math.sqrt(0.34 / kernel.size)  # of a measured deviation, relative, for this distribution
        assert kernel.std() == pytest.approx(CUT_AT_TWO * nominal, rel=max(0.003, 4 * error))
        assert abs(kernel.mean()) < 4 * nominal / math.sqrt(kernel.size)
        assert 1.8 * nominal < np.abs(kernel).max() <= 2.0001 * nominal
    assert all(np.all(offset == 0) for offset in offsets(model))


def test_no_two_layers_share_values():
    starts = [kernel.ravel()[:200] for network in ("resnet", "critic") for kernel in kernels(build(network))]
    alike = np.corrcoef(starts) - np.eye(len(starts))
    assert np.abs(alike).max() < 0.35


@pytest.mark.parametrize("network", KERNELS)
def test_initial_weights_are_a_function_of_the_seed(network):
    one, same, other = (kernels(build(network, width=0.0625, random_seed=seed)) for seed in (3, 3, 4))
    for a, b, c in zip(one, same, other, strict=True):
        assert np.array_equal(a, b)
        assert not np.any(a == c)


# ---- convolutions ----------------------------------------------------------------------------------


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """SAME convolution, written out; float64."""
    size, (batch, height, width, _) = kernel.shape[0], x.shape
    rows, columns = -(-height // stride), -(-width // stride)
    pad = [max((n - 1) * stride + size - m, 0) for n, m in ((rows, height), (columns, width))]
    x = np.pad(x.astype(np.float64), [(0, 0), *((p // 2, p - p // 2) for p in pad), (0, 0)])
    y = np.zeros((batch, rows, columns, kernel.shape[3]))
    for r, c in itertools.product(range(rows), range(columns)):
        patch = x[:, r * stride : r * stride + size, c * stride : c * stride + size]
        y[:, r, c] = np.tensordot(patch, kernel, 3)
    return y


def scatter(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Transposed convolution with stride 2 and a kernel [3, 3, in, out]: every pixel draws its kernel."""
    batch, height, width, _ = x.shape
    y = np.zeros((batch, 2 * height + 1, 2 * width + 1, kernel.shape[3]))
    for r, c in itertools.product(range(height), range(width)):
        y[:, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3] += np.einsum("bi,hwio->bhwo", x[:, r, c], kernel)
    return y[:, : 2 * height, : 2 * width]


def filled(layer, inputs: int):
    """The layer with random weights."""
    layer.build((None, None, None, inputs))
    layer.kernel.assign(random(*layer.kernel.shape, seed=1))
    layer.offset.assign(random(*layer.offset.shape, seed=2))
    return layer


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (1, 1)])
@pytest.mark.parametrize("shape", [(6, 4), (5, 7)])
def test_conv_is_a_same_convolution(size, stride, shape):
    layer, x = filled(Conv(3, size, stride), 4), random(2, *shape, 4)
    expected = convolve(x, layer.kernel.numpy(), stride) + layer.offset.numpy()
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_deconv_draws_its_kernel_for_every_pixel():
    layer, x = filled(Deconv(5), 4), random(2, 3, 4, 4)
    expected = scatter(x, layer.kernel.numpy()) + layer.offset.numpy()
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (3, 5), (2, 7)])
def test_upscale_in_one_step_is_nearest_and_a_convolution(shape, training):
    layer, x = filled(UpscaleConv(5), 4), random(2, *shape, 4)
    kernel, offset = layer.kernel.numpy(), layer.offset.numpy()
    large = tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)
    transposed = tf.nn.conv2d_transpose(large, kernel.transpose(0, 1, 3, 2), [*large.shape[:3], 5], 1, "SAME")
    y = layer(x, training=training)
    np.testing.assert_allclose(y, transposed + offset, atol=1e-5)
    turned = kernel[::-1, ::-1]
    np.testing.assert_allclose(y, convolve(large.numpy(), turned, 1) + offset, atol=1e-5)
    assert np.abs(convolve(large.numpy(), kernel, 1) + offset - y).max() > 0.1  # the turn matters


@pytest.mark.parametrize("training", [False, True])
def test_upscale_gradient_is_that_of_nearest_and_a_convolution(training):
    layer, x, weights = (
        filled(UpscaleConv(5), 4),
        tf.constant(random(2, 3, 5, 4)),
        random(2, 6, 10, 5, seed=3),
    )
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        kernel = layer.kernel.value
        one_step = tf.reduce_sum(weights * layer(x, training=training))
        large = tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)
        turned = tf.reverse(kernel, [0, 1])
        two_steps = tf.reduce_sum(weights * (tf.nn.conv2d(large, turned, 1, "SAME") + layer.offset))
    for of in (x, kernel):
        np.testing.assert_allclose(tape.gradient(one_step, of), tape.gradient(two_steps, of), atol=1e-4)


# ---- shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("architect", ["resnet", "deconv"])
@pytest.mark.parametrize(
    ("kind", "factor"),
    [("scaled", 2), ("scaled", 4), ("scaled", 8), *(("noise", factor) for factor in (2, 4, 8, 16))],
)
def test_output_is_as_many_times_larger_as_asked(kind, factor, architect):
    for sample_size in (64, 128):
        side = sample_size // factor
        size = {"scale_factor": factor} if kind == "scaled" else {"noise_dimension": side}
        config = Config(gen_architect=architect, width=0.004, input=kind, sample_size=sample_size, **size)
        if sample_size == 64:  # one network for both
            model = build_generator(config)
        assert (config.factor, config.input_size) == (factor, side)
        for height, width in ((side, side), (5, 3)):
            y = model(np.full((2, height, width, 3), 0.5, np.float32)).numpy()
            assert y.shape == (2, factor * height, factor * width, 3)
            assert 0 <= y.min() <= y.max() <= 1


@pytest.mark.parametrize("architect", ["resnet", "deconv"])
def test_generator_of_one_size(architect):
    model = build_generator(Config(gen_architect=architect, width=0.004), 16)
    assert model.input_shape == (None, 16, 16, 3)
    assert model.output_shape == (None, 64, 64, 3)


@pytest.mark.parametrize("size", [64, 128])
def test_critic_gives_one_number_a_picture(size):
    critic = build("critic", width=0.03125, sample_size=size)
    assert critic.input_shape == (None, size, size, 3)
    assert critic(np.zeros((3, size, size, 3), np.float32)).shape == (3, 1)


# sums of the shapes of 2017's variables, by hand; without the moving averages, which are new
@pytest.mark.parametrize(
    ("network", "options", "count"),
    [
        ("resnet", {}, 3_844_451),
        ("resnet", {"gen_norm": 0}, 3_844_451 - 1_920),
        ("resnet", {"scale_factor": 2}, 3_183_587),
        ("resnet", {"scale_factor": 8}, 6_796_131),
        ("resnet", {"input": "noise"}, 7_534_691),
        ("deconv", {}, 422_758),
        ("deconv", {"gen_norm": 0}, 422_758 - 259),
        # the projection, the offsets of its norm instead of the picture's, 256 instead of 3 channels in
        ("deconv_projected", {}, 422_758 + 4 * 256 + 253 + 9 * 253 * 256),
        ("deconv", {"input": "noise"}, 1_160_806),
        ("critic", {}, 4_175_937),
        ("critic", {"critic_norm": "layer"}, 4_175_937),
        ("critic", {"critic_norm": "none"}, 4_175_937 - 1_984),
    ],
)
def test_parameter_counts(network, options, count):
    assert sum(math.prod(v.shape) for v in trainable(build(network, **options))) == count


@pytest.mark.parametrize(
    ("network", "width", "widths"),
    [
        ("deconv", 0.1, [26, 13, 10, 10, 3]),  # of 256, 128, 96, 96; a picture keeps its 3 channels
        ("deconv", 1e-6, [1, 1, 1, 1, 3]),
        ("deconv", 1.5, [384, 192, 144, 144, 3]),
        ("critic", 0.1, [6, 13, 26, 51, 51, 51, 1]),  # of 64, 128, 256, 512, 512, 512; one number
        ("critic", 1e-6, [1] * 7),
    ],
)
def test_widths_are_rounded_to_at_least_one(network, width, widths):
    assert [kernel.shape[3] for kernel in kernels(build(network, width=width))] == widths


# ---- the generator's norm --------------------------------------------------------------------------


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance per channel, float64."""
    x = x.astype(np.float64).reshape(-1, x.shape[-1])
    return x.mean(0), np.square(x - x.mean(0)).mean(0)


def spread(seed: int, *shape: int) -> np.ndarray:
    """Numbers whose channels differ in mean and variance, the more so the later the seed."""
    channels = np.arange(1, shape[-1] + 1)
    return (random(*shape, seed=seed) * channels * (seed + 1) + channels - 2 * seed).astype(np.float32)


def generator_norm(channels: int) -> GeneratorNorm:
    norm = GeneratorNorm()
    norm.build((None, None, None, channels))
    norm.offset.assign(random(channels, seed=9))
    return norm


def test_generator_norm_in_training_uses_the_batch():
    norm, x = generator_norm(4), spread(1, 2, 3, 2, 4)
    mean, variance = moments(x)
    expected = (x - mean) / np.sqrt(variance + 1e-3) + norm.offset.numpy()
    np.testing.assert_allclose(norm(x, training=True), expected, atol=1e-5)


def test_generator_norm_uses_an_epsilon_of_a_thousandth():
    norm, x = generator_norm(1), np.float32([-0.01, 0.01, 0.03, -0.03]).reshape(1, 2, 2, 1)
    expected = x / math.sqrt(5e-4 + 1e-3) + norm.offset.numpy()
    np.testing.assert_allclose(norm(x, training=True), expected, atol=1e-6)


def test_moving_averages_by_hand():
    norm = generator_norm(4)
    one, two, three = (spread(seed, 2, 3, 2, 4) for seed in (1, 2, 3))
    (m1, v1), (m2, v2), (m3, v3) = map(moments, (one, two, three))
    # each batch's share: 0.01 * 0.99^(batches after it), divided by their sum 1 - 0.99^n
    shares = {1: [1], 2: [0.99 / 1.99, 1 / 1.99], 3: [0.9801 / 2.9701, 0.99 / 2.9701, 1 / 2.9701]}
    for n, x in enumerate((one, two, three), 1):
        norm(x, training=True)
        mean, variance = norm.averages()
        expected_mean = sum(s * m for s, m in zip(shares[n], (m1, m2, m3), strict=False))
        expected_variance = sum(s * v for s, v in zip(shares[n], (v1, v2, v3), strict=False))
        np.testing.assert_allclose(mean, expected_mean, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(variance, expected_variance, rtol=1e-5)
        assert float(norm.moving_weight.value) == pytest.approx(1 - 0.99**n, rel=1e-5)

    x = spread(5, 1, 2, 2, 4)
    y = (x - expected_mean) / np.sqrt(expected_variance + 1e-3) + norm.offset.numpy()
    np.testing.assert_allclose(norm(x), y, atol=1e-4)
    np.testing.assert_allclose(norm(x, training=False), y, atol=1e-4)
    assert float(norm.moving_weight.value) == pytest.approx(1 - 0.99**3, rel=1e-5)  # inference moves nothing


def test_generator_norm_before_the_first_update_only_adds_its_offset():
    norm, x = generator_norm(4), spread(1, 2, 3, 2, 4)
    np.testing.assert_allclose(norm(x), x / math.sqrt(1 + 1e-3) + norm.offset.numpy(), rtol=1e-5, atol=1e-5)


def test_norm_and_relu_commute_with_nearest():
    x = spread(1, 2, 3, 5, 4)
    before, after = generator_norm(4), generator_norm(4)
    large = np.repeat(np.repeat(x, 2, 1), 2, 2)
    normed_first = tf.repeat(tf.repeat(tf.nn.relu(before(x, training=True)), 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(normed_first, tf.nn.relu(after(large, training=True)), atol=1e-5)
    for one, other in zip(before.averages(), after.averages(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


# ---- the critic's norm -----------------------------------------------------------------------------

AXES = {"batch": ((0, 1, 2), 1e-3), "layer": ((1, 2, 3), 1e-12)}


def normalize(x: np.ndarray, kind: str) -> np.ndarray:
    axes, epsilon = AXES[kind]
    x = x - x.mean(axes, keepdims=True)
    return x / np.sqrt(np.square(x).mean(axes, keepdims=True) + epsilon)


def norms_of(critic: keras.Model) -> list[CriticNorm]:
    return [layer for layer in critic.layers if isinstance(layer, CriticNorm)]


@pytest.mark.parametrize("scale", [1.0, 0.03])
@pytest.mark.parametrize("kind", AXES)
def test_critic_norm(kind, scale):
    norm = norms_of(build("critic", width=0.03, critic_norm=kind))[1]  # four channels
    norm.offset.assign(random(4, seed=9))
    x = spread(1, 3, 4, 5, 4) * np.float32(scale)
    expected = normalize(x.astype(np.float64), kind) + norm.offset.numpy()
    for training in (True, False):
        np.testing.assert_allclose(norm(x, training=training), expected, atol=1e-5)


@pytest.mark.parametrize(("kind", "count"), [("batch", 6), ("layer", 6), ("none", 0), ("spectral", 0)])
def test_every_hidden_layer_of_the_critic_is_normed_as_chosen(kind, count):
    norms = norms_of(build("critic", width=0.03125, critic_norm=kind))
    assert len(norms) == count
    assert all((tuple(norm.axes), norm.epsilon) == AXES[kind] for norm in norms)


@pytest.mark.parametrize("kind", AXES)
def test_second_order_gradient_of_the_critic_norm(kind):
    """Against numerical differentiation, twice, of a norm in float64: nothing may stop the gradient."""
    x = np.random.RandomState(0).randn(2, 2, 1, 2)
    weights = np.random.RandomState(1).randn(2, 2, 1, 2)
    # an even sum of squares would hide a stop: the norm's own gradients sum to zero
    shares = np.random.RandomState(2).rand(2, 2, 1, 2)

    def differentiate(function, x, step):
        steps = (step * row.reshape(x.shape) for row in np.eye(x.size))
        slopes = [(function(x + s) - function(x - s)) / (2 * step) for s in steps]
        return np.reshape(slopes, x.shape)

    def penalty(x):
        gradient = differentiate(lambda x: np.sum(weights * normalize(x, kind) ** 2), x, 1e-4)
        return np.sum(shares * gradient**2)

    norm = CriticNorm(*AXES[kind])
    at = tf.constant(x, tf.float32)
    with tf.GradientTape() as outer:
        outer.watch(at)
        with tf.GradientTape() as inner:
            inner.watch(at)
            value = tf.reduce_sum(weights.astype(np.float32) * norm(at) ** 2)
        square = tf.reduce_sum(shares.astype(np.float32) * inner.gradient(value, at) ** 2)
    expected = differentiate(penalty, x, 1e-3)
    assert float(square) == pytest.approx(penalty(x), rel=1e-4)
    np.testing.assert_allclose(outer.gradient(square, at), expected, atol=1e-3 * np.abs(expected).max())


def largest_singular_value(kernel: np.ndarray) -> float:
    return float(np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]).astype(np.float64), 2))


@pytest.mark.parametrize("kind", ["batch", "layer", "none", "spectral"])
def test_two_groups_in_one_pass_are_two_passes(kind):
    config = Config(critic_norm=kind, width=0.0625, random_seed=1)
    critic, other = build_critic(config), build_critic(config)
    both = in_groups(critic, 2)
    pictures = tf.constant(np.random.RandomState(0).rand(6, 64, 64, 3), tf.float32)
    for network in (critic, other):
        for i, variable in enumerate(trainable(network)):
            variable.assign_add(0.05 * np.random.RandomState(i).randn(*variable.shape))

    def gradients(outputs, variables) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Outputs of six pictures, and the gradient of what tells the groups apart."""
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            y = outputs()
            loss = tf.reduce_sum(tf.square(y) * [[1.0], [-2.0], [3.0], [1.0], [0.5], [2.0]])
        return y, tape.gradient(loss, [pictures, *variables])

    one, found = gradients(lambda: both(pictures, training=True), trainable(critic))
    two, right = gradients(
        lambda: tf.concat([other(part, training=True) for part in (pictures[:3], pictures[3:])], 0),
        trainable(other),
    )
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    for a, b in zip(found, right, strict=True):
        scale = float(tf.reduce_max(tf.abs(b)))
        np.testing.assert_allclose(a, b, atol=2e-4 * max(scale, 0.5))
    for a, b in zip(critic.non_trainable_variables, other.non_trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_generators_norm_for_compiled_training_is_the_fused_one():
    config = Config(width=0.0625, random_seed=2)
    generator, other = build_generator(config), build_generator(config)
    pictures = tf.constant(np.random.RandomState(0).rand(4, 16, 16, 3), tf.float32)
    np.testing.assert_allclose(
        in_groups(generator, 1)(pictures, training=True), other(pictures, training=True), atol=2e-5
    )
    for a, b in zip(generator.non_trainable_variables, other.non_trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(in_groups(generator, 1)(pictures), generator(pictures))


def test_spectral_convolution_divides_its_kernel_by_the_largest_singular_value():
    layer = SpectralConv(5, seed=3)
    x = tf.constant(random(2, 6, 6, 4, seed=1))
    layer(x)
    layer.offset.assign(random(5, seed=2))
    for _ in range(200):  # power iteration goes on in training alone
        layer(x, training=True)
    before = layer.direction.numpy()
    kernel = layer.kernel.numpy()
    expected = tf.nn.conv2d(x, kernel / largest_singular_value(kernel), 1, "SAME") + layer.offset
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    np.testing.assert_array_equal(layer.direction, before)
    layer.kernel.assign(10 * kernel)  # the scale of a kernel means nothing
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-5)


def test_gradient_through_the_spectral_norm():
    """Miyato et al. 2018, equation 12, by numerical differentiation of W / sigma(W)."""
    layer = SpectralConv(3, size=1, seed=3)
    x = tf.constant(random(1, 2, 2, 2, seed=1))
    weights = random(1, 2, 2, 3, seed=4)
    layer(x)
    for _ in range(200):
        layer(x, training=True)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(x) * weights)
    found = tape.gradient(value, layer.kernel.value)
    kernel = layer.kernel.numpy().astype(np.float64)

    def function(kernel):
        whole = kernel[0, 0] / np.linalg.norm(kernel[0, 0], 2)
        return np.sum((x.numpy().astype(np.float64) @ whole) * weights)

    for place in np.ndindex(*kernel.shape):
        step = np.zeros_like(kernel)
        step[place] = 1e-6
        slope = (function(kernel + step) - function(kernel - step)) / 2e-6
        assert float(found[place]) == pytest.approx(slope, rel=1e-3, abs=1e-4)


def test_every_convolution_of_a_spectral_critic_is_spectral():
    critic = build("critic", width=0.03125, critic_norm="spectral")
    convolutions = [layer for layer in critic.layers if isinstance(layer, Conv)]
    assert len(convolutions) == 7
    assert all(isinstance(layer, SpectralConv) for layer in convolutions)
    assert len(trainable(critic)) == 14  # the kept directions are not trained


@pytest.mark.parametrize("kind", [*AXES, "none"])
def test_critic_layer_by_layer(kind):
    critic = build("critic", width=0.03, critic_norm=kind)
    for i, variable in enumerate(trainable(critic)):
        variable.assign(random(*variable.shape, seed=i) * (0.3 if len(variable.shape) == 4 else 0.1))
    values = iter([v.numpy().astype(np.float64) for v in trainable(critic)])
    pictures = np.random.RandomState(5).rand(2, 64, 64, 3).astype(np.float32)
    x = 2 * pictures.astype(np.float64) - 1
    for stride in (2, 2, 2, 2, 1, 1):
        x = convolve(x, next(values), stride) + next(values)
        if kind != "none":
            x = normalize(x, kind) + next(values)
        x = np.maximum(x, 0)
    assert x.shape == (2, 4, 4, 15)  # 512 * 0.03
    expected = (convolve(x, next(values), 1) + next(values)).mean((1, 2))
    np.testing.assert_allclose(critic(pictures), expected, rtol=1e-4, atol=1e-4)


# ---- averaging down and back projection ------------------------------------------------------------


def test_shrink_is_the_mean_of_blocks():
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_allclose(shrink(x, 2)[0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_allclose(shrink(x, 4)[0, :, :, 0], [[7.5]])


@pytest.mark.parametrize(("height", "width", "factor"), [(16, 16, 4), (32, 32, 2), (8, 8, 8), (3, 5, 4)])
def test_products_with_matrices_enlarge_as_tensorflow_does(height, width, factor):
    pictures = np.random.RandomState(0).uniform(-1, 1, (2, height, width, 3)).astype(np.float32)
    right = tf.image.resize(pictures, [height * factor, width * factor], method="bicubic")
    np.testing.assert_allclose(enlarge(tf.constant(pictures), factor), right, atol=1e-6)
    unknown = tf.function(
        enlarge, input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([], tf.int32)]
    )
    np.testing.assert_array_equal(unknown(pictures, factor), right)


def test_no_rounds_of_back_projection_change_nothing():
    pictures, feature = faces(2, 64, seed=1), faces(2, 16, seed=2)
    assert np.array_equal(back_project(pictures, feature, 0), pictures)


@pytest.mark.parametrize("rounds", [1, 3])
def test_back_projection_of_constant_pictures(rounds):
    pictures = tf.fill([1, 64, 64, 3], 0.25)
    feature = tf.ones([1, 16, 16, 3]) * tf.constant([0.5, 0.0, 1.25])
    expected = np.broadcast_to([0.5, 0.0, 1.25], (1, 64, 64, 3))  # y + (x - y), whatever y, not clipped
    np.testing.assert_allclose(back_project(pictures, feature, rounds), expected, atol=1e-5)


@pytest.mark.parametrize("curve", [lambda t: t, np.square], ids=["line", "parabola"])
def test_back_projection_of_a_curve_is_the_finer_curve(curve):
    """From black, one round is the enlarged feature: bicubic keeps parabolas, on half pixels."""
    coarse, fine = (curve((np.arange(size) + 0.5) / size) for size in (16, 64))
    feature = np.broadcast_to(coarse[None, None, :, None], (1, 16, 16, 3)).astype(np.float32)
    inside = slice(8, 56)
    for turn in (lambda x: x, lambda x: tf.transpose(x, [0, 2, 1, 3])):
        y = turn(back_project(tf.zeros([1, 64, 64, 3]), turn(tf.constant(feature)), 1)).numpy()
        np.testing.assert_allclose(y[0, 20, inside, 1], fine[inside], atol=1e-5)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_consistency_rises_with_every_round(factor):
    size = 64 // factor
    pictures, feature = faces(2, 64, seed=1), faces(2, size, seed=2)
    errors = [
        float(tf.reduce_mean(tf.abs(shrink(back_project(pictures, feature, rounds), factor) - feature)))
        for rounds in range(5)
    ]
    assert all(after < 0.6 * before for before, after in itertools.pairwise(errors))


def test_gradient_flows_through_back_projection():
    """It is linear in the picture, so its gradient gives differences exactly."""
    pictures, feature, change = (tf.constant(random(1, n, n, 3, seed=n)) for n in (32, 8, 33))
    change = change[:, :32, :32]
    weights = random(1, 32, 32, 3, seed=4)
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        before = tf.reduce_sum(weights * back_project(pictures, feature, 2))
    gradient = tape.gradient(before, pictures)
    difference = tf.reduce_sum(weights * back_project(pictures + change, feature, 2)) - before
    assert float(tf.reduce_sum(gradient * change)) == pytest.approx(float(difference), rel=1e-3)
    assert np.abs(gradient - weights).max() > 0.1  # not as if there were no back projection


def test_generate_projects_onto_the_clean_feature():
    model = build("deconv", width=0.03125)
    clean = faces(2, 16)
    noisy = clean + 0.3 * random(2, 16, 16, 3)
    plain = generate(model, noisy, clean, 0)
    assert np.array_equal(plain, model(noisy))
    error = np.abs(shrink(generate(model, noisy, clean, 8), 4) - clean).mean()
    assert error < 0.01 < np.abs(shrink(plain, 4) - clean).mean()
    trained = generate(model, noisy, clean, 0, training=True)
    assert np.abs(trained - plain).max() > 1e-3  # the batch's statistics, not the averages


# ---- precision and files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "precision", "tolerance"),
    [
        ("resnet", "bfloat16", 2.0**-8),
        ("deconv", "float16", 2.0**-11),
        ("critic", "bfloat16", 2.0**-8),
        ("critic", "float16", 2.0**-11),
    ],
)
def test_half_precision_keeps_weights_and_output_in_float32(network, precision, tolerance):
    half, full = (build(network, width=0.0625, precision=p) for p in (precision, "float32"))
    x = faces(2, 64 if network == "critic" else 16)
    y, expected = half(x, training=True), full(x, training=True)
    assert y.dtype == tf.float32
    assert {v.dtype for v in half.variables} == {"float32"}
    off = np.abs(y - expected).max() / np.abs(expected).max()
    assert tolerance / 50 < off < 40 * tolerance


@pytest.mark.parametrize("network", ["resnet", "deconv", "critic"])
def test_a_saved_network_comes_back(network, tmp_path):
    model = build(network, width=0.0625, random_seed=5)
    x = faces(3, 64 if network == "critic" else 16)
    for _ in range(2):
        model(x, training=True)
    for i, variable in enumerate(v for v in trainable(model) if len(v.shape) == 1):
        variable.assign(random(*variable.shape, seed=i))
    model.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    for name in ("gain", "seed", "stride", "epsilon"):
        assert [getattr(x, name, None) for x in again.layers] == [
            getattr(x, name, None) for x in model.layers
        ]
    assert np.array_equal(again(x), model(x))
    assert np.array_equal(again(x, training=True), model(x, training=True))
    if network != "critic":
        assert np.array_equal(again(x), model(x))  # the averages moved on alike
