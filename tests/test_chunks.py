"""Chunks of steps: how a training is cut into them, that they change nothing, that XLA compiles them all."""

import dataclasses
import gc
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from helpers import assert_equal_checkpoints, quick, train

import srez_train
from srez.networks.build import shrink
from srez.options.config import OBJECTIVES, Config
from srez.options.flags import PRESETS, read_preset
from srez.runs.run import METRICS, read_metrics
from srez.training.budget import Budget, chunks
from srez.training.optimizers import sums_of_squares
from srez_model import FIGURES, Gan

CLOCK = {"minutes", "images_per_second"}


@pytest.fixture
def compiled(monkeypatch) -> list[Gan]:
    """Trainings run in compiled chunks, as on a single GPU; their networks."""
    made: list[Gan] = []

    def remember(*args) -> Gan:
        made.append(Gan(*args))
        return made[-1]

    monkeypatch.setattr(srez_train, "Gan", remember)
    monkeypatch.setattr(srez_train, "is_compiled", lambda config, replicas: config.xla)
    return made


def figures_of(config: Config) -> list[dict[str, float]]:
    """The lines of metrics.jsonl without what depends on the clock."""
    return [
        {k: v for k, v in line.items() if k not in CLOCK}
        for line in read_metrics(f"{config.checkpoint_dir}/{METRICS}")
    ]


def trained(faces: str, root, **options) -> Config:
    """A training of 24 batches, with lines and grids inside of its chunks and at their ends."""
    usual = {"max_batches": 24, "log_period": 3, "summary_period": 10, "learning_rate_half_life": 5}
    config = quick(faces, root, **(usual | options))
    assert train(config) == 0
    return config


# ---- how a training is cut -------------------------------------------------------------------------


def cut(batch: int, most: int, **options) -> list[tuple[int, int]]:
    config = Config(**options)
    return [(chunk[0], chunk[-1]) for chunk in itertools.islice(chunks(config, batch, most), 5)]


def test_chunks_end_at_grids_checkpoints_and_the_last_batch():
    periods = {"summary_period": 50, "checkpoint_period": 70}
    assert cut(0, 20, **periods) == [(1, 20), (21, 40), (41, 50), (51, 70), (71, 90)]
    assert cut(45, 20, **periods) == [(46, 50), (51, 70), (71, 90), (91, 100), (101, 120)]
    assert cut(0, 20, max_batches=33, **periods)[:2] == [(1, 20), (21, 33)]
    assert cut(0, 1, **periods) == [(n, n) for n in (1, 2, 3, 4, 5)]


def test_minutes_inside_a_chunk_lie_evenly(monkeypatch):
    # seconds: made (with what it notes), begun after a minute of reading, after each of two chunks
    clock = iter([40.0, 40.0, 40.0, 100.0, 160.0, 280.0])
    monkeypatch.setattr("srez.training.budget.time.monotonic", lambda: next(clock))
    budget = Budget(Config(), 10, 4.0)
    budget.begin()
    assert budget.minutes_at(10) == pytest.approx(5.0)
    budget.advance(14)
    assert [budget.minutes_at(n) for n in (11, 12, 14)] == pytest.approx([5.25, 5.5, 6.0])
    budget.advance(16)
    assert [budget.minutes_at(n) for n in (15, 16)] == pytest.approx([7.0, 8.0])
    assert budget.batch == 16


# ---- what a training gives, whatever its chunks -----------------------------------------------------


@pytest.fixture(scope="module")
def one_by_one(faces, tmp_path_factory) -> Config:
    return trained(faces, tmp_path_factory.mktemp("one"))


@pytest.mark.parametrize("most", ["7", "20"])
def test_without_xla_chunks_change_nothing(faces, tmp_path, one_by_one, most):
    config = trained(faces, tmp_path, steps_at_once=most)
    assert_equal_checkpoints(config.checkpoint_dir, one_by_one.checkpoint_dir)
    lines = figures_of(config)
    assert [line["batch"] for line in lines] == [0, 3, 6, 9, 10, 12, 15, 18, 20, 21, 24]
    assert lines == figures_of(one_by_one)
    names = sorted(path.name for path in tmp_path.glob("train/batch*.png"))
    assert names == [f"batch{n:06d}_out_l.png" for n in (0, 10, 20, 24)]


@pytest.mark.parametrize("most", [*(pytest.param(n, marks=pytest.mark.slow) for n in ("1", "7")), "20"])
def test_with_xla_chunks_differ_by_rounding(faces, tmp_path, one_by_one, compiled, most):
    config = trained(faces, tmp_path, steps_at_once=most)
    (gan,) = compiled
    assert gan.steps.experimental_get_tracing_count() == 1  # one program, whatever a chunk's length
    assert gc.get_freeze_count() == 0
    for line, right in zip(figures_of(config), figures_of(one_by_one), strict=True):
        assert line.keys() == right.keys()
        for name in ("batch", "learning_rate"):
            assert line.get(name) == right.get(name)
        for name in ("generator_loss", "discriminator_real_loss", "discriminator_fake_loss", "psnr"):
            assert line.get(name, 0) == pytest.approx(right.get(name, 0), rel=0.02), (line["batch"], name)


def test_compiled_chunks_go_on_exactly(faces, tmp_path, compiled):
    whole = trained(faces, tmp_path / "whole", steps_at_once="4")
    half = trained(faces, tmp_path / "parts", steps_at_once="7", max_batches=9)
    again = dataclasses.replace(half, max_batches=24)
    assert train(again) == 0
    assert_equal_checkpoints(again.checkpoint_dir, whole.checkpoint_dir)
    lines = [line for line in figures_of(again) if line["batch"] != 9]  # it was an end, with a grid
    assert lines == [line for line in figures_of(whole) if line["batch"] != 9]


def test_a_signal_ends_a_chunk_at_its_batch_where_steps_are_single(faces, tmp_path, monkeypatch):
    config = quick(faces, tmp_path, max_batches=24, steps_at_once="20", log_period=1, summary_period=100)
    step, stop = srez_train.train_batch, srez_train.Stop()

    def signalled(gan, data, batch):
        losses = step(gan, data, batch)
        if batch == 5:
            stop.requested = "SIGTERM"
        return losses

    monkeypatch.setattr(srez_train, "train_batch", signalled)
    assert srez_train.train(config, stop) == 75
    monkeypatch.setattr(srez_train, "train_batch", step)
    assert [line["batch"] for line in figures_of(config)] == [0, 1, 2, 3, 4, 5]
    assert train(config) == 0
    whole = quick(faces, tmp_path / "whole", max_batches=24)
    assert train(whole) == 0
    assert_equal_checkpoints(config.checkpoint_dir, whole.checkpoint_dir)


@pytest.mark.parametrize("xla", [False, True])
def test_the_first_bad_batch_of_a_chunk_is_named(faces, tmp_path, compiled, monkeypatch, capsys, xla):
    def explode(config: Config, batch: int) -> float:
        return 1e30 if batch >= 13 else 1e-5

    for module in (srez_train, srez_train.Record.__module__):
        target = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{target}.learning_rate", explode)
    options = {"steps_at_once": "20", "checkpoint_period": 10, "log_period": 4, "summary_period": 100}
    config = quick(faces, tmp_path, max_batches=40, xla=xla, **options)
    assert train(config) == 3
    said = capsys.readouterr().out
    assert "was not finite at batch 14; the checkpoint of batch 10 is good" in said
    assert [line["batch"] for line in figures_of(config)] == [0, 4, 8, 12]


def test_steps_at_once_is_auto_or_a_number():
    config = Config()
    assert (srez_train.steps_at_once(config, True), srez_train.steps_at_once(config, False)) == (20, 1)
    seven = dataclasses.replace(config, steps_at_once="7")
    assert (srez_train.steps_at_once(seven, True), srez_train.steps_at_once(seven, False)) == (7, 7)
    for name in ("summary_period", "checkpoint_period", "max_batches"):  # room for more would be left empty
        assert srez_train.steps_at_once(dataclasses.replace(config, **{name: 5}), True) == 5


# ---- the compiled step ------------------------------------------------------------------------------


def small(**options) -> Config:
    return Config(**{"width": 0.03125, "gen_architect": "deconv", "batch_size": 3, **options})


def data_of(config: Config, steps: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Label and feature of a chunk."""
    random = np.random.RandomState(1)
    turns, side, size = config.batches_per_step, config.sample_size, config.batch_size
    label = random.rand(steps, turns, size, side, side, 3).astype(np.float32)
    if config.noise_input:
        shape = (steps, turns, size, config.input_size, config.input_size, 3)
        return tf.constant(label), tf.constant(random.uniform(-1, 1, shape), tf.float32)
    feature = shrink(label.reshape(-1, side, side, 3), config.factor)
    return tf.constant(label), tf.reshape(feature, [steps, turns, size, *feature.shape[1:]])


def compiled_steps(config: Config, steps: int = 2) -> tuple[Gan, np.ndarray]:
    """A gan after a chunk of compiled steps from batch 1 on, and their figures."""
    gan = Gan(config, compiled=True)
    first = tf.constant(1, tf.int64)
    random = gan.random_of_steps(first, steps)
    rates = tf.fill([steps], 1e-5)
    return gan, gan.steps(*data_of(config, steps), *random, first, tf.constant(steps), rates).numpy()


def single_steps(config: Config, steps: int = 2) -> tuple[Gan, np.ndarray]:
    """The same, step by step in TensorFlow's own graph."""
    gan, (label, feature) = Gan(config), data_of(config, steps)
    rows, rate = [], tf.constant(1e-5)
    tf.config.run_functions_eagerly(True)  # two small steps take less than to trace one
    for i in range(steps):
        batch = tf.constant(i + 1, tf.int64)
        for turn in range(1, config.batches_per_step):
            number = tf.constant(turn, tf.int64)
            gan.critic_step(label[i, turn - 1], feature[i, turn - 1], batch, rate, number)
        losses = gan.step(label[i, -1], feature[i, -1], batch, rate)
        rows.append([float(losses[name]) for name in FIGURES])
    tf.config.run_functions_eagerly(False)
    return gan, np.array(rows)


PRESET_NAMES = sorted(path.stem for path in PRESETS.glob("*.flags"))
EVERY = {
    "loss_func": OBJECTIVES,
    "critic_norm": ("batch", "layer", "spectral", "none"),
    "gen_architect": ("deconv", "deconv_projected", "resnet"),
    "precision": ("float32", "bfloat16", "float16"),
}
SAMPLE = (
    {},
    {"loss_func": "wgangp", "critic_norm": "layer", "critic_iters": 2},
    pytest.param({"loss_func": "lsgan", "critic_norm": "spectral", "input": "noise"}, marks=pytest.mark.slow),
    pytest.param({"critic_norm": "spectral", "critic_iters": 0}, marks=pytest.mark.slow),
    {"critic_iters": 0, "gene_l1_factor": 1.0, "gene_pixel_factor": 5.0, "gene_ema": 0.9},
    pytest.param(
        {"gen_architect": "resnet", "back_projection": 2, "gene_ema": 0.9, "gene_lpips_factor": 2.0},
        marks=pytest.mark.slow,
    ),
)
SHORT = (
    pytest.param(
        {"precision": "bfloat16", "loss_func": "wgan", "critic_norm": "none", "optimizer": "rmsprop"},
        marks=pytest.mark.slow,
    ),
    {"precision": "float16", "loss_func": "hinge", "gen_norm": 0},
)


@pytest.mark.parametrize("options", SAMPLE, ids=str)
def test_compiled_steps_are_the_single_ones(options):
    config = small(**options)
    (gan, found), (other, right) = compiled_steps(config), single_steps(config)
    # the second step follows from weights that rounding has moved
    np.testing.assert_allclose(found[0], right[0], rtol=2e-3, atol=2e-5)
    np.testing.assert_allclose(found[1], right[1], rtol=2e-2, atol=2e-3)
    for name in ("generator", "critic"):
        one, another = (
            np.concatenate([np.ravel(v.numpy()) for v in getattr(g, name).non_trainable_variables] or [[0]])
            for g in (gan, other)
        )
        np.testing.assert_allclose(one, another, rtol=1e-3, atol=1e-4)


def trains_compiled(config: Config) -> None:
    gan, figures = compiled_steps(config)
    assert np.isfinite(figures[:, :6]).all()
    assert gan.updates.first_not_finite() is None


@pytest.mark.parametrize("options", SHORT, ids=str)
def test_short_precisions_compile(options):
    trains_compiled(small(**options))


@pytest.mark.slow
@pytest.mark.parametrize("choice", list(itertools.product(*EVERY.values())), ids="-".join)
def test_everything_compiles(choice):
    options = dict(zip(EVERY, choice, strict=True))
    trains_compiled(small(optimizer="rmsprop" if options["loss_func"] == "wgan" else "adam", **options))


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESET_NAMES)
def test_every_preset_compiles(name):
    trains_compiled(Config(**read_preset(name) | {"width": 0.03125, "batch_size": 2}))


def test_a_bad_batch_changes_no_weights_and_unused_places_are_not_read():
    config = small(gene_ema=0.9)
    gan, first = Gan(config, compiled=True), tf.constant(1, tf.int64)
    label, feature = data_of(config, 3)
    bad = tf.constant([1.0, 1.0, math.nan])[:, None, None, None, None, None]
    random, rates = gan.random_of_steps(first, 3), tf.fill([3], 1e-5)
    figures = gan.steps(label * bad, feature, *random, first, tf.constant(2), rates).numpy()
    assert np.isfinite(figures).all()
    assert (figures[:2, 0] > 0).all()
    assert (figures[2] == 0).all()
    assert gan.updates.first_not_finite() is None
    optimizers = [*gan.updates.generator_optimizer.variables, *gan.updates.critic_optimizer.variables]
    learned = [*gan.generator_variables, *gan.critic_variables, *optimizers]
    before = [variable.numpy() for variable in learned]
    third = tf.constant(3, tf.int64)
    parts = (label[2:] * math.nan, feature[2:], *(numbers[2:] for numbers in random))
    chunk = [tf.concat([part, tf.zeros_like(part), tf.zeros_like(part)], 0) for part in parts]
    gan.steps(*chunk, third, tf.constant(1), rates)
    assert gan.updates.first_not_finite() == (3, "discriminator_real_loss")
    assert len(learned) > 40
    for old, variable in zip(before, learned, strict=True):
        np.testing.assert_array_equal(old, variable, err_msg=variable.name)


def test_random_numbers_of_a_chunk_are_those_of_its_steps():
    config = small(critic_iters=3, train_noise=0.25, random_seed=4)
    gan = Gan(config)
    noise, alpha = gan.random_of_steps(tf.constant(7, tf.int64), 2)
    assert noise.shape == (2, 3, 3, 16, 16, 3)
    for i, (place, turn) in itertools.product(range(2), enumerate((1, 2, 0))):
        zeros = tf.zeros([3, 16, 16, 3])
        right, points = gan.random_inputs(zeros, tf.constant(7 + i, tf.int64), turn)
        np.testing.assert_array_equal(noise[i, place], right)
        np.testing.assert_array_equal(alpha[i, place], points)


# ---- sums of squares --------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [False, True])
def test_sums_of_squares(together):
    tensors = [tf.constant([3.0, -4.0]), tf.ones([50, 7, 5]), tf.zeros([]), tf.constant([[math.nan, 1.0]])]
    found = sums_of_squares([*tensors, tf.fill([1024], 0.5)], together).numpy()
    np.testing.assert_allclose(found, [25.0, 1750.0, 0.0, math.nan, 256.0], rtol=1e-6)
