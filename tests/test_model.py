"""The training step: pure, true to its formulas, careful with numbers that are not finite."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from srez.metrics.perceptual import lpips_loss
from srez.networks.build import back_project, generate, shrink
from srez.options.config import Config
from srez.training.losses import LOSSES, OBJECTIVES, gradient_penalty
from srez.training.update import Gradients
from srez_model import Gan

RATE = tf.constant(1e-3)
ALPHA = tf.constant([0.1, 0.4, 0.9])


def small(**options) -> Config:
    return Config(**{"width": 0.03125, "gen_architect": "deconv", "batch_size": 3, **options})


def number(n: int) -> tf.Tensor:
    return tf.constant(n, tf.int64)


def batch_of(config: Config, seed: int = 0) -> tuple[tf.Tensor, tf.Tensor]:
    """Label and feature."""
    random = np.random.RandomState(seed)
    label = tf.constant(random.rand(3, 64, 64, 3), tf.float32)
    if config.noise_input:
        return label, tf.constant(random.uniform(-1, 1, (3, 4, 4, 3)), tf.float32)
    return label, shrink(label, config.factor)


def everything(gan: Gan) -> list[tf.Variable]:
    """All that training may change, moving averages and `first_bad` too."""
    networks = [v.value for m in (gan.generator, gan.critic) for v in m.variables]
    return [*networks, *gan.variables]


def averages(gan: Gan) -> list[tf.Variable]:
    return [v.value for v in gan.generator.non_trainable_variables]


def learned(gan: Gan) -> list[tf.Variable]:
    """Weights and the state of the optimizers."""
    optimizers = [*gan.updates.generator_optimizer.variables, *gan.updates.critic_optimizer.variables]
    return [*gan.generator_variables, *gan.critic_variables, *optimizers]


def copy(variables: list[tf.Variable]) -> list[np.ndarray]:
    return [v.numpy() for v in variables]


def same(one: list, other: list) -> list[bool]:
    return [np.array_equal(a, b) for a, b in zip(one, other, strict=True)]


@pytest.fixture(scope="module")
def shared() -> tuple[Gan, list[np.ndarray]]:
    gan = Gan(small())
    return gan, copy(everything(gan))


@pytest.fixture
def gan(shared) -> Gan:
    """A new gan of the default objective; its functions stay traced."""
    gan, start = shared
    for variable, value in zip(everything(gan), start, strict=True):
        variable.assign(value)
    return gan


def stir(gan: Gan) -> None:
    """Offsets that are not zero, kernels large enough that gradients matter."""
    for i, variable in enumerate(gan.generator_variables + gan.critic_variables):
        variable.assign_add(0.1 * np.random.RandomState(i).randn(*variable.shape))


# ---- a pure function of weights, state, batch number and data --------------------------------------


def test_the_same_step_twice(gan):
    label, feature = batch_of(gan.config)
    start = copy(everything(gan))
    results = []
    for batch in (5, 5, 6):
        for variable, value in zip(everything(gan), start, strict=True):
            variable.assign(value)
        losses = gan.step(label, feature, number(batch), RATE)
        results.append([*(float(loss) for loss in losses.values()), *copy(everything(gan))])
    assert all(same(results[0], results[1]))
    assert len(results[0]) > 60  # variables, not only losses
    different = same(results[0], results[2])
    assert different.count(True) < len(different) / 3  # Adam's count and what has no gradient stay alike


def test_noise_is_a_function_of_seed_batch_and_turn():
    gan = Gan(small(critic_iters=3, train_noise=0.25, random_seed=8))
    feature = tf.random.stateless_uniform([512, 16, 16, 3], [1, 2])
    seen = {}
    for batch, turn in itertools.product((1, 2, 3), (0, 1, 2)):
        noisy, alpha = gan.random_inputs(feature, number(batch), turn)
        again = gan.random_inputs(feature, number(batch), tf.constant(turn))
        assert all(same([noisy, alpha], again))
        seen[batch, turn] = (noisy - feature).numpy(), alpha.numpy()
    for noise, alpha in seen.values():
        assert abs(noise.mean()) < 0.002
        assert noise.std() == pytest.approx(0.25, rel=0.005)
        assert alpha.shape == (512,)
        assert 0 <= alpha.min() < 0.02
        assert 0.98 < alpha.max() < 1
    for one, other in itertools.combinations(seen.values(), 2):
        assert abs(np.corrcoef(one[0].ravel(), other[0].ravel())[0, 1]) < 0.01
        assert abs(np.corrcoef(one[1], other[1])[0, 1]) < 0.2
    other_seed = Gan(small(critic_iters=3, train_noise=0.25, random_seed=9))
    noisy, alpha = other_seed.random_inputs(feature, number(1), 0)
    assert abs(np.corrcoef((noisy - feature).numpy().ravel(), seen[1, 0][0].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(alpha, seen[1, 0][1])[0, 1]) < 0.2


def test_noise_can_be_left_out(gan):
    quiet = Gan(small(train_noise=0))
    feature = batch_of(quiet.config)[1]
    assert np.array_equal(quiet.random_inputs(feature, number(1), 0)[0], feature)
    assert not np.array_equal(gan.random_inputs(feature, number(1), 0)[0], feature)


# ---- losses and gradients --------------------------------------------------------------------------


def pieces(gan: Gan, label, feature, noisy) -> dict[str, np.ndarray]:
    """What the losses are made of, by other means: output, critic's numbers, L1 to feature and to label."""
    output = generate(gan.generator, noisy, feature, gan.config.back_projection, training=True)
    side = feature.shape[1]
    blocks = output.numpy().reshape(3, side, 64 // side, side, 64 // side, 3).mean((2, 4))
    return {
        "real": gan.critic(label).numpy(),
        "fake": gan.critic(output).numpy(),
        "feature": np.abs(blocks - feature).mean(),
        "label": np.abs(output - label).mean(),
        "output": output,
    }


def softplus(x: np.ndarray) -> float:
    return float(np.log1p(np.exp(x)).mean())


@pytest.mark.parametrize("share", [0.9, 0.25])
def test_generator_loss_of_dcgan(share):
    gan = Gan(small(gene_l1_factor=share, gene_pixel_factor=0.3))
    label, feature = batch_of(gan.config)
    noisy = feature + 2 * np.random.RandomState(1).randn(*feature.shape).astype(np.float32)
    stir(gan)
    p = pieces(gan, label, feature, noisy)
    losses = gan.gradients.python_function(label, feature, noisy, ALPHA).losses
    adversarial = softplus(-p["fake"])
    expected = (1 - share) * adversarial + share * p["feature"] + 0.3 * p["label"]
    assert float(losses["generator_loss"]) == pytest.approx(expected, rel=1e-5)
    # the L1 term sees the clean feature: that of the noisy one would be far off
    assert np.abs(shrink(p["output"], 4) - noisy).mean() > 3 * p["feature"]
    assert float(losses["discriminator_real_loss"]) == pytest.approx(softplus(-p["real"]), rel=1e-5)
    assert float(losses["discriminator_fake_loss"]) == pytest.approx(softplus(p["fake"]), rel=1e-5)
    total = softplus(-p["real"]) + softplus(p["fake"])
    assert float(losses["discriminator_tot_loss"]) == pytest.approx(total, rel=1e-5)
    assert float(losses["gradient_penalty"]) == 0
    estimate = p["fake"].mean() - p["real"].mean()
    assert float(losses["wasserstein_estimate"]) == pytest.approx(estimate, rel=1e-4)


@pytest.mark.parametrize("loss_func", OBJECTIVES)
def test_generator_loss_for_noise_is_adversarial_alone(loss_func):
    gan = Gan(small(input="noise", loss_func=loss_func))
    label, feature = batch_of(gan.config)
    stir(gan)
    p = pieces(gan, label, feature, feature)
    losses = gan.gradients.python_function(label, feature, feature, ALPHA).losses
    expected = {
        "dcgan": lambda fake: softplus(-fake),
        "lsgan": lambda fake: np.square(fake - 1).mean() / 2,
        "hinge": lambda fake: -fake.mean(),
    }.get(loss_func, np.mean)(p["fake"])
    assert float(losses["generator_loss"]) == pytest.approx(expected, rel=1e-4)


def test_losses_of_a_wasserstein_critic():
    gan = Gan(small(loss_func="wgangp", LAMBDA=7.0))
    label, feature = batch_of(gan.config)
    stir(gan)
    p = pieces(gan, label, feature, feature)
    losses = {
        name: float(loss)
        for name, loss in gan.gradients.python_function(label, feature, feature, ALPHA).losses.items()
    }
    assert set(losses) == {*LOSSES, "wasserstein_estimate"}
    penalty = float(gradient_penalty(gan.critic, label, p["output"], ALPHA))
    assert losses["discriminator_real_loss"] == pytest.approx(p["real"].mean(), rel=1e-4)
    assert losses["discriminator_fake_loss"] == pytest.approx(p["fake"].mean(), rel=1e-4)
    assert losses["gradient_penalty"] == pytest.approx(penalty, rel=1e-4)
    difference = p["real"].mean() - p["fake"].mean()
    assert abs(difference) > 1e-3
    assert losses["discriminator_tot_loss"] == pytest.approx(difference + 7 * penalty, rel=1e-4)
    assert losses["wasserstein_estimate"] == pytest.approx(-difference, rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"loss_func": "wgangp"},
        {"back_projection": 2, "gene_pixel_factor": 0.5},
        {"gene_lpips_factor": 2.0},
        {"degrade": "photo"},
        {"critic_norm": "layer"},
    ],
    ids=lambda o: next(iter(o)),
)
def test_gradients_are_those_of_the_losses(options):
    """One tape from the weights to each loss, where the step joins two at the picture."""
    gan = Gan(small(**options))
    label, feature = batch_of(gan.config)
    noisy = feature + 0.1 * np.random.RandomState(1).randn(*feature.shape).astype(np.float32)
    stir(gan)
    found = gan.gradients.python_function(label, feature, noisy, ALPHA)
    objective, config = gan.objective, gan.config
    with tf.GradientTape(persistent=True) as tape:
        own = gan.generator(noisy, training=True)
        output = back_project(own, feature, config.back_projection)
        real, fake = gan.critic(label), gan.critic(output)
        clean = shrink(label, 4) if config.degrade == "photo" else feature
        faithful = tf.reduce_mean(tf.abs(shrink(own, 4) - clean))  # after projection there is none left
        generator_loss = 0.1 * objective.generator(fake) + 0.9 * faithful
        generator_loss += config.gene_pixel_factor * tf.reduce_mean(tf.abs(output - label))
        if config.gene_lpips_factor:
            generator_loss += config.gene_lpips_factor * lpips_loss(output, label)
        critic_loss = objective.critic_real(real) + objective.fake_sign * objective.critic_fake(fake)
        if objective.penalized:
            critic_loss += 10 * gradient_penalty(gan.critic, label, output, ALPHA)
    for name, loss in (("generator", generator_loss), ("critic", critic_loss)):
        variables = getattr(gan, f"{name}_variables")
        expected = tape.gradient(loss, variables)
        for one, other in zip(getattr(found, name), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-5 * max(1, np.abs(other).max()))
        assert max(np.abs(g).max() for g in expected) > 1e-3
    by_itself = gan.generator_gradients.python_function(label, feature, noisy, ALPHA)
    assert by_itself.critic == []
    for one, other in zip(by_itself.generator, found.generator, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-5)
    alone = gan.critic_gradients.python_function(label, feature, noisy, ALPHA)
    assert alone.generator == []
    for one, other in zip(alone.critic, found.critic, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


# ---- updates ---------------------------------------------------------------------------------------


def test_a_step_is_one_update_of_both_networks(gan):
    """Against the first step of Adam by hand: both gradients from the same weights, then both updates."""
    label, feature = batch_of(gan.config)
    stir(gan)
    noisy, alpha = gan.random_inputs(feature, number(1), 0)
    found = gan.gradients.python_function(label, feature, noisy, alpha)
    variables = gan.generator_variables + gan.critic_variables
    before = copy(variables)
    gan.step(label, feature, number(1), RATE)
    c = gan.config
    for old, new, gradient in zip(before, variables, [*found.generator, *found.critic], strict=True):
        g = gradient.numpy()
        rate = 1e-3 * math.sqrt(1 - c.learning_beta2) / (1 - c.learning_beta1)
        first, second = (1 - c.learning_beta1) * g, (1 - c.learning_beta2) * g**2
        large = np.abs(g) > 1e-5  # below it, rounding decides
        expected = old - rate * first / (np.sqrt(second) + 1e-8)
        np.testing.assert_allclose(new.numpy()[large], expected[large], atol=2e-5)


def test_a_step_moves_everything_and_the_averages_once(gan):
    label, feature = batch_of(gan.config)
    variables = gan.generator_variables + gan.critic_variables
    before, before_averages = copy(variables), copy(averages(gan))
    gan.step(label, feature, number(1), RATE)
    assert not any(same(before, variables))
    assert not any(same(before_averages, averages(gan)))
    norms = [layer for layer in gan.generator.layers if hasattr(layer, "moving_weight")]
    assert len(norms) == 2
    assert all(float(norm.moving_weight.value) == pytest.approx(0.01, rel=1e-5) for norm in norms)
    noisy = gan.random_inputs(feature, number(1), 0)[0]  # the first norm sees it as it is
    np.testing.assert_allclose(norms[0].averages()[0], np.mean(noisy, (0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(norms[0].averages()[1], np.var(noisy, (0, 1, 2)), rtol=1e-4)


def test_a_critic_step_moves_the_critic_alone(gan):
    label, feature = batch_of(gan.config)
    norm = next(layer for layer in gan.generator.layers if hasattr(layer, "moving_weight"))
    for steps in (1, 2):  # before and after the other function is traced
        generator = [*gan.generator_variables, *averages(gan), *gan.updates.generator_optimizer.variables]
        critic = [*gan.critic_variables, *gan.updates.critic_optimizer.first]
        before, before_critic = copy(generator), copy(critic)
        gan.critic_step(label, feature, number(steps), RATE, tf.constant(1))
        assert all(same(before, generator))
        assert not any(same(before_critic, critic))
        assert int(gan.updates.critic_optimizer.updates) == 2 * steps - 1
        gan.step(label, feature, number(steps), RATE)
        assert float(norm.moving_weight.value) == pytest.approx(1 - 0.99**steps, rel=1e-5)
        assert int(gan.updates.generator_optimizer.updates) == steps
        assert int(gan.updates.critic_optimizer.updates) == 2 * steps


def test_with_more_critic_steps_the_generator_sees_the_last_of_them():
    """Its first step of Adam by hand: of the loss by the critic as the step leaves it."""
    config = small(critic_iters=2, loss_func="wgan", weigh_clip=0, train_noise=0.0)
    gan, late = Gan(config), Gan(config)
    label, feature = batch_of(config)
    for g in (gan, late):
        stir(g)
    before = copy(gan.generator_variables)
    critic = copy(gan.critic_variables)
    gan.step(label, feature, number(1), tf.constant(0.02))
    for variable, value in zip(late.critic_variables, gan.critic_variables, strict=True):
        variable.assign(value)
    assert int(gan.updates.critic_optimizer.updates) == int(gan.updates.generator_optimizer.updates) == 1

    def gradients() -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            output = late.generator(feature, training=True)
            faithful = tf.reduce_mean(tf.abs(shrink(output, 4) - feature))
            loss = 0.1 * tf.reduce_mean(late.critic(output)) + 0.9 * faithful
        return [g.numpy() for g in tape.gradient(loss, late.generator_variables)]

    after = gradients()
    for variable, value in zip(late.critic_variables, critic, strict=True):
        variable.assign(value)
    turned = 0  # where the critic before its step would have sent the weight the other way
    for old, new, gradient, early in zip(before, gan.generator_variables, after, gradients(), strict=True):
        sure = np.abs(gradient) > 1e-5  # below it, rounding decides
        np.testing.assert_allclose((old - new.numpy())[sure], 0.02 * np.sign(gradient)[sure], rtol=0.02)
        turned += np.sum(np.sign(early)[sure] != np.sign(gradient)[sure])
    assert turned > 20


@pytest.mark.parametrize("norm", ["batch", "layer", "spectral"])
def test_a_frozen_critic_stays_as_it_was_made(norm):
    config = small(critic_iters=0, critic_norm=norm, loss_func="wgan", weigh_clip=1, clip_value=1e-3)
    gan = Gan(config)
    critic = [v.value for v in gan.critic.variables] + list(gan.updates.critic_optimizer.variables)
    before, generator = copy(critic), copy(gan.generator_variables)
    found = gan.step(*batch_of(config), number(1), RATE)
    assert all(same(before, critic))
    assert not any(same(generator, gan.generator_variables))
    assert float(found.pop("discriminator_gradient_norm")) == 0  # none is taken
    if norm != "spectral":  # a spectral one's first step of the power iteration is already one of training
        trained = Gan(replace(config, critic_iters=1, weigh_clip=0)).step(*batch_of(config), number(1), RATE)
        for name, value in found.items():
            assert float(value) == pytest.approx(float(trained[name]), rel=1e-4), name
    norms = [layer for layer in gan.generator.layers if hasattr(layer, "moving_weight")]
    assert all(float(norm.moving_weight.value) == pytest.approx(0.01, rel=1e-5) for norm in norms)


@pytest.mark.parametrize("turn", [0, 1])
def test_clipping_covers_offsets_and_spares_the_generator(turn):
    gan = Gan(small(loss_func="wgan", clip_value=0.02))
    label, feature = batch_of(gan.config)
    for variable in gan.generator_variables + gan.critic_variables:
        variable.assign(tf.fill(variable.shape, 0.5) * tf.sign(variable + 1e-6))
    tf.config.run_functions_eagerly(True)
    try:
        if turn:
            gan.critic_step(label, feature, number(1), RATE, tf.constant(turn))
        else:
            gan.step(label, feature, number(1), RATE)
    finally:
        tf.config.run_functions_eagerly(False)
    for variable in gan.critic_variables:
        np.testing.assert_allclose(np.abs(variable), 0.02, rtol=1e-6)
    for variable in gan.generator_variables:
        np.testing.assert_allclose(np.abs(variable), 0.5, atol=0.01)


def test_no_clipping_unless_asked(gan):
    label, feature = batch_of(gan.config)
    gan.step(label, feature, number(1), RATE)
    assert all(np.abs(v).max() > 0.02 for v in gan.critic_variables if len(v.shape) == 4)


def test_samples_use_the_averages_a_batch_at_a_time(gan):
    label, feature = batch_of(gan.config)
    for batch in (1, 2):
        gan.step(label, feature, number(batch), RATE)
    seven = tf.concat([feature, feature[::-1], feature[:1]], 0)
    before = copy(everything(gan))
    samples = gan.sample(seven)
    assert all(same(before, everything(gan)))
    assert samples.shape == (7, 64, 64, 3)
    np.testing.assert_allclose(samples, gan.generator(seven, training=False), atol=1e-6)
    assert np.abs(samples - gan.generator(seven, training=True)).max() > 1e-4


# ---- numbers that are not finite -------------------------------------------------------------------


def made_up(gan: Gan, value: float = 0.5, **losses: float) -> Gradients:
    """Gradients of one value everywhere."""
    return Gradients(
        {name: tf.constant(losses.get(name, 1.0)) for name in LOSSES},
        [tf.fill(v.shape, value) for v in gan.generator_variables],
        [tf.fill(v.shape, value) for v in gan.critic_variables],
    )


def test_a_label_that_is_not_a_number(gan):
    label, feature = batch_of(gan.config)
    gan.step(label, feature, number(6), RATE)
    assert gan.updates.first_not_finite() is None
    before = copy(learned(gan))
    poisoned = tf.concat([label[:2], tf.fill([1, 64, 64, 3], math.nan)], 0)
    gan.step(poisoned, feature, number(7), RATE)
    assert all(same(before, learned(gan)))
    assert gan.updates.first_not_finite() == (7, "discriminator_real_loss")
    gan.critic_step(poisoned, feature, number(8), RATE, tf.constant(1))
    gan.step(label, feature * math.nan, number(9), RATE)
    assert all(same(before, learned(gan)))
    assert gan.updates.first_not_finite() == (7, "discriminator_real_loss")  # the first stays
    gan.step(label, feature, number(10), RATE)  # a good one goes on
    assert not any(same(before, learned(gan)))
    assert gan.updates.first_not_finite() == (7, "discriminator_real_loss")


def test_a_feature_that_is_not_a_number_shows_in_the_generator_first(gan):
    label, feature = batch_of(gan.config)
    gan.step(label, feature * math.nan, number(1), RATE)
    assert gan.updates.first_not_finite() == (1, "generator_loss")


def test_a_critic_step_can_diverge_too(gan):
    label, feature = batch_of(gan.config)
    before = copy(learned(gan))
    gan.critic_step(label * math.inf, feature, number(3), RATE, tf.constant(1))
    assert all(same(before, learned(gan)))
    assert gan.updates.first_not_finite() == (3, "discriminator_real_loss")


@pytest.mark.parametrize("network", ["generator", "critic"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_bad_gradient_stops_all_and_is_named(gan, network, value):
    found, before = made_up(gan), copy(learned(gan))
    gradients = getattr(found, network)
    gradients[2] = tf.constant(np.r_[value, np.zeros(np.prod(gradients[2].shape) - 1)], tf.float32)
    gradients[2] = tf.reshape(gradients[2], getattr(gan, f"{network}_variables")[2].shape)
    gan.updates.update(found, number(4), RATE)
    assert all(same(before, learned(gan)))
    path = getattr(gan, network).trainable_variables[2].path
    assert gan.updates.first_not_finite() == (4, f"gradient of {path}")
    assert network == "generator" or path != gan.generator.trainable_variables[2].path


def test_every_loss_is_watched(gan):
    for name in LOSSES:
        gan.updates.first_bad.assign([-1, -1])
        gan.updates.update(made_up(gan, **{name: math.inf}), number(4), RATE)
        assert gan.updates.first_not_finite() == (4, name)


def test_good_gradients_are_applied(gan):
    before = copy(learned(gan))
    gan.updates.update(made_up(gan), number(4), RATE)
    assert gan.updates.first_not_finite() is None
    for old, new in zip(before, gan.generator_variables + gan.critic_variables, strict=False):
        # the first step of Adam is the rate, whatever the gradient, but for the corrections of the betas
        np.testing.assert_allclose(old - new, 1e-3, atol=1e-6)


# ---- the generator's average -----------------------------------------------------------------------


def test_a_step_tells_the_norms_of_both_gradients(gan):
    label, feature = batch_of(gan.config)
    found = gan.gradients(label, feature, feature, ALPHA)
    told = gan.step(label, feature, number(1), RATE)  # with noise: near, not the same
    losses = gan.updates.update(found, number(1), RATE)
    for name, gradients in (
        ("generator_gradient_norm", found.generator),
        ("discriminator_gradient_norm", found.critic),
    ):
        expected = math.sqrt(sum(float(np.square(g.numpy().astype(np.float64)).sum()) for g in gradients))
        assert float(losses[name]) == pytest.approx(expected, rel=1e-5)
        assert float(told[name]) == pytest.approx(expected, rel=0.5)


def test_held_out_faces_are_examined_by_the_training_pass_in_whole_batches():
    """Norms are over a batch: seven faces are two batches of three, and one left out. Nothing moves."""
    gan = Gan(small(loss_func="wgangp", critic_norm="layer", train_noise=0.0))
    stir(gan)
    label = tf.constant(np.random.RandomState(4).rand(7, 64, 64, 3), tf.float32)
    feature = shrink(label, 4)
    before = copy(everything(gan))
    found = gan.examine(label, feature)
    assert all(same(before, everything(gan)))
    estimates, shares = [], []
    for part in (slice(0, 3), slice(3, 6)):
        with tf.GradientTape(persistent=True) as tape:
            output = gan.generator(feature[part], training=True)
            tape.watch(output)
            adversarial = 0.1 * tf.reduce_mean(gan.critic(output))
            faithful = 0.9 * tf.reduce_mean(tf.abs(shrink(output, 4) - feature[part]))
        a, b = (np.linalg.norm(tape.gradient(loss, output)) for loss in (adversarial, faithful))
        shares.append(a / (a + b))
        estimates.append(tf.reduce_mean(gan.critic(output)) - tf.reduce_mean(gan.critic(label[part])))
    assert found["wasserstein_estimate"] == pytest.approx(np.mean(estimates), rel=1e-4)
    assert found["critic_gradient_share"] == pytest.approx(np.mean(shares), rel=1e-3)
    assert 0.01 < found["critic_gradient_share"] < 0.999
    assert found["gradient_penalty"] > 0.01
    few = gan.examine(label[:2], feature[:2])
    assert np.isfinite(list(few.values())).all()


@pytest.mark.parametrize(("options", "share"), [({"gene_l1_factor": 1.0}, 0), ({"input": "noise"}, 1)])
def test_the_critics_share_of_the_gradient_without_either_term(options, share):
    gan = Gan(small(**options))
    assert gan.examine(*batch_of(gan.config))["critic_gradient_share"] == share


def test_the_average_follows_the_generator():
    """By a share of 1 - min(gene_ema, (1 + n) / (10 + n)) in batch n, moving statistics too."""
    gan = Gan(small(gene_ema=0.5))
    slow, fast = ([v.value for v in m.weights] for m in (gan.average, gan.generator))
    assert all(same(slow, fast))
    for i, variable in enumerate(fast):
        variable.assign_add(np.random.RandomState(i).rand(*variable.shape))
    for batch, kept in ((1, 2 / 11), (5, 6 / 15), (8, 0.5), (1000, 0.5)):
        before = copy(slow)
        gan.updates.update(made_up(gan), number(batch), RATE)  # the average sees the generator's new weights
        for old, new, to in zip(before, slow, fast, strict=True):
            np.testing.assert_allclose(new, kept * old + (1 - kept) * to.numpy(), rtol=1e-4, atol=1e-6)
    before = copy(slow)
    gan.updates.update(made_up(gan, math.nan), number(9), RATE)
    gan.updates.update(made_up(gan)._replace(generator=[]), number(9), RATE)  # a critic step
    assert all(same(before, slow))
    feature = batch_of(gan.config)[1]
    samples = gan.sample(feature)
    np.testing.assert_allclose(samples, gan.average(feature), atol=1e-6)
    assert np.abs(samples - gan.generator(feature)).max() > 1e-4


def test_without_an_average_the_generator_itself_is_used(gan):
    assert gan.average is gan.generator


# ---- float16 ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def half() -> Gan:
    return Gan(small(precision="float16", train_noise=0))


def scale(gan: Gan) -> float:
    return float(gan.updates.loss_scale.scale)


def reset(gan: Gan, scale: float) -> list[np.ndarray]:
    gan.updates.first_bad.assign([-1, -1])
    gan.updates.loss_scale.scale.assign(scale)
    gan.updates.loss_scale.good.assign(5)
    return copy(learned(gan))


def test_only_float16_scales_its_losses(gan, half):
    assert gan.updates.loss_scale is None
    assert Gan(small(precision="bfloat16")).updates.loss_scale is None
    assert half.updates.loss_scale is not None


def test_float16_gradients_are_those_of_float32(half, gan):
    label, feature = batch_of(half.config)
    expected = gan.gradients(label, feature, feature, ALPHA)
    for value in (256.0, 4096.0):
        reset(half, value)
        found = half.gradients(label, feature, feature, ALPHA)
        for name in LOSSES:
            assert float(found.losses[name]) == pytest.approx(float(expected.losses[name]), rel=5e-3)
        for network in ("generator", "critic"):
            one, other = (
                np.concatenate([np.ravel(g) for g in getattr(x, network)]) for x in (found, expected)
            )
            assert np.linalg.norm(one) == pytest.approx(np.linalg.norm(other), rel=0.02)
            assert one @ other > 0.99 * np.linalg.norm(one) * np.linalg.norm(other)


def test_an_overflow_halves_the_scale_and_skips(half):
    label, feature = batch_of(half.config)
    before = reset(half, 2.0**24)
    half.step(label, feature, number(3), RATE)
    assert scale(half) == 2.0**23
    assert int(half.updates.loss_scale.good) == 0
    assert half.updates.first_not_finite() is None
    assert all(same(before, learned(half)))
    before = reset(half, 2.0**10)
    half.step(label, feature, number(4), RATE)
    assert scale(half) == 2.0**10
    assert int(half.updates.loss_scale.good) == 6
    assert half.updates.first_not_finite() is None
    assert not any(same(before, learned(half)))


def test_an_overflow_at_the_least_scale_is_divergence(half):
    for start, diverged in ((2.0, None), (1.0, (3, half.updates.watched[len(LOSSES)]))):
        before = reset(half, start)
        half.updates.update(made_up(half, math.inf), number(3), RATE)
        assert half.updates.first_not_finite() == diverged
        assert scale(half) == 1
        assert all(same(before, learned(half)))


def test_a_float16_loss_that_is_not_finite_is_divergence(half):
    label, feature = batch_of(half.config)
    before = reset(half, 1024.0)
    half.step(label * math.nan, feature, number(3), RATE)
    assert half.updates.first_not_finite() == (3, "discriminator_real_loss")
    assert all(same(before, learned(half)))
