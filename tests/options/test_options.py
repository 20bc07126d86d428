"""For every option: setting it changes something that its user would notice."""

import contextlib
import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import srez_demo
import srez_main
import srez_train
from srez.data.dataset import open_dataset
from srez.data.samples import Batch
from srez.images.layout import GRID_NAME, write_png
from srez.options.config import Config, fields
from srez.runs.run import Run, read_metrics
from srez.system.signals import Stop
from srez.training.fresh import is_due
from srez.training.replicas import Replicas, open_replicas
from srez_input import batches
from srez_model import Gan

SMALL = {"gen_architect": "deconv", "width": 0.03125, "batch_size": 2, "test_vectors": 2}


def digest(*arrays) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def stream(config: Config) -> str:
    """What the networks are shown: a batch of training and the held-out faces."""
    dataset = open_dataset(config)
    batch, test = batches(dataset, [0], config.batch_size)[0], dataset.test_batch()
    return digest(batch.label, batch.feature, test.label, test.feature)


def kept(config: Config) -> bool:
    """Whether the windows of pictures are kept in memory."""
    dataset = open_dataset(config)
    dataset.window(0)
    return np.shares_memory(dataset.window(0), dataset.window(0))


def networks(config: Config) -> list:
    """Layers and shapes of both networks."""
    gan = Gan(config)
    layers = [type(layer).__name__ for m in (gan.generator, gan.critic) for layer in m.layers]
    axes = [getattr(layer, "axes", None) for layer in gan.critic.layers]
    shapes = [v.shape for v in gan.generator_variables]
    return [layers, axes, shapes, gan.generator.layers[1].compute_dtype]


def strategy(config: Config) -> str:
    """How devices train together."""
    return type(open_replicas(config).strategy).__name__


@functools.cache
def trained(config: Config) -> Gan:
    """Both networks after three batches."""
    gan = Gan(config)
    random = np.random.RandomState(0)
    side = config.input_size
    shapes = (2, 64, 64, 3), (2, side, side, 3)
    feed = (Batch(*(tf.constant(random.rand(*shape), tf.float32) for shape in shapes)) for _ in range(6))
    tf.config.run_functions_eagerly(True)  # three small steps take less than to trace one
    try:
        for batch in range(1, 4):
            srez_train.train_batch(gan, feed, batch)
    finally:
        tf.config.run_functions_eagerly(False)
    return gan


def weights(config: Config) -> str:
    """Both networks after three batches."""
    gan = trained(config)
    return digest(*gan.generator_variables, *gan.critic_variables)


def samples(config: Config) -> str:
    """The held-out faces after three batches."""
    gan = trained(config)
    feature = np.random.RandomState(1).rand(2, config.input_size, config.input_size, 3).astype(np.float32)
    return digest(gan.sample(feature))


def compiled(config: Config) -> bool:
    """Whether a single GPU trains in compiled chunks."""
    with mock.patch.object(tf.config, "list_physical_devices", return_value=["GPU:0"]):
        return srez_train.is_compiled(config, Replicas())


def chunk(config: Config) -> int:
    """The most steps in a compiled chunk."""
    return srez_train.steps_at_once(config, True)


def outcome(config: Config) -> list:
    """Files that a short training leaves, and its figures without times."""
    code = srez_train.train(config, Stop())
    folder = Path(config.checkpoint_dir)
    files = sorted(p.name for p in Path(config.train_dir).iterdir()) + sorted(
        p.name for p in folder.iterdir() if p.suffix == ".index"
    )
    metrics = folder / "metrics.jsonl"
    lines = [line["batch"] for line in read_metrics(str(metrics))] if metrics.exists() else []
    return [code, files, lines]


def measured_afresh(config: Config) -> list[bool]:
    """At which of a training's samples fresh critics are trained: tests/training/test_fresh.py sees them."""
    return [is_due(config, batch) for batch in range(0, 2000, config.summary_period)]


def film(config: Config) -> str:
    """The film of thirty grids."""
    Path(config.train_dir).mkdir()
    for batch in range(30):
        write_png(f"{config.train_dir}/{GRID_NAME.format(batch)}", np.full((16, 16, 3), batch / 30))
    assert srez_demo.demo(config, Stop()) == 0
    return digest(np.frombuffer(Path(config.train_dir, srez_demo.FILM).read_bytes(), np.uint8))


def folders(config: Config) -> list:
    """Which folders are made."""
    Run(config).open()
    return sorted(p.name for p in Path().iterdir())


def started(config: Config) -> list:
    """What main sets in TensorFlow; recorded only, since determinism cannot be switched off again."""
    with (
        mock.patch.object(tf.config.experimental, "enable_op_determinism") as determinism,
        mock.patch.object(tf.debugging, "set_log_device_placement") as placement,
        mock.patch.object(srez_main.flags, "verbose", return_value=False),
    ):
        srez_main.start_tensorflow(config)
    return [determinism.called, placement.call_args.args]


def compile_cache(config: Config) -> str:
    """Where programs for a GPU are kept."""
    with (
        mock.patch.dict(os.environ, CUDA_VISIBLE_DEVICES="0", XDG_CACHE_HOME="user"),
        mock.patch.object(srez_main, "import_tensorflow", return_value=tf),
        mock.patch.object(srez_main.flags, "verbose", return_value=False),
    ):
        srez_main.start_tensorflow(config)
        return os.environ["TF_XLA_FLAGS"].partition("/2.")[0]


OBSERVERS: dict[str, tuple[Callable, object, dict]] = {
    "crop_size": (stream, 64, {}),
    "crop_wiggle": (stream, 0, {}),
    "crop_x": (stream, 20, {"crop_x": 25, "crop_y": 60}),
    "crop_y": (stream, 40, {"crop_x": 25, "crop_y": 60}),
    "sample_size": (stream, 128, {}),
    "scale_factor": (stream, 2, {}),
    "input": (stream, "noise", {}),
    "noise_dimension": (stream, 8, {"input": "noise"}),
    "degrade": (stream, "photo", {}),
    "test_vectors": (stream, 3, {}),
    "cache": (kept, "off", {"cache": "memory"}),
    "random_seed": (stream, 1, {}),
    "batch_size": (stream, 3, {}),
    "dataset": (stream, "synthetic", {}),
    "gen_architect": (networks, "resnet", {}),
    "gen_norm": (networks, 0, {}),
    "critic_norm": (networks, "layer", {}),
    "width": (networks, 0.0625, {}),
    "precision": (networks, "bfloat16", {}),
    "back_projection": (weights, 1, {}),
    "train_noise": (weights, 0.2, {}),
    "gene_ema": (samples, 0.999, {}),
    "loss_func": (weights, "wgan", {}),
    "gene_l1_factor": (weights, 0.5, {}),
    "gene_pixel_factor": (weights, 5.0, {}),
    "gene_lpips_factor": (weights, 5.0, {}),
    "LAMBDA": (weights, 1.0, {"loss_func": "wgangp"}),
    "weigh_clip": (weights, 1, {}),
    "clip_value": (weights, 0.02, {"weigh_clip": 1}),
    "critic_iters": (weights, 2, {}),
    "optimizer": (weights, "rmsprop", {}),
    "learning_rate_start": (weights, 1e-3, {}),
    "learning_rate_half_life": (weights, 1, {}),
    "learning_rate_schedule": (weights, "cosine", {"learning_rate_batches": 4}),
    "learning_rate_batches": (weights, 4, {"learning_rate_schedule": "cosine", "learning_rate_batches": 5}),
    "learning_beta1": (weights, 0.9, {}),
    "learning_beta2": (weights, 0.99, {}),
    "epsilon": (weights, 1e-2, {}),
    "strategy": (strategy, "mirrored", {}),
    "xla": (compiled, False, {}),
    "steps_at_once": (chunk, "1", {}),
    "compile_cache": (compile_cache, "elsewhere", {}),
    "deterministic": (started, True, {}),
    "log_device_placement": (started, True, {}),
    "fresh_critics": (measured_afresh, 1, {}),
    "max_batches": (outcome, 3, {}),
    "train_time": (outcome, 1e-9, {}),
    "output_image": (outcome, 1, {}),
    "summary_period": (outcome, 1, {}),
    "log_period": (outcome, 1, {"summary_period": 100}),
    "checkpoint_period": (outcome, 1, {}),
    "checkpoint_minutes": (outcome, 1e-9, {}),
    "checkpoint_keep": (outcome, 1, {"checkpoint_period": 1}),
    "demo_seconds": (film, 3, {}),
    "train_dir": (folders, "elsewhere", {}),
    "checkpoint_dir": (folders, "elsewhere", {}),
    "summary_dir": (folders, "elsewhere", {}),
}
# observed in test_train, test_demo, test_survival, test_start_from, tests/inference and tests/study
OBSERVED_ELSEWHERE = {"run", "dry_run", "resume", "on_divergence", "start_from"}
OBSERVED_ELSEWHERE |= {f.name for f in fields() if f.metadata["group"] in ("use", "study")}


@pytest.fixture(scope="module")
def observed(tmp_path_factory) -> Callable[[Callable, Config], object]:
    """What an observer sees in an empty folder; the usual is looked at once for many options."""

    @functools.cache
    def look(observer: Callable, config: Config) -> object:
        with contextlib.chdir(tmp_path_factory.mktemp("empty")):
            return observer(config)

    return look


def test_every_option_has_an_observer():
    assert {f.name for f in fields()} == set(OBSERVERS) | OBSERVED_ELSEWHERE


@pytest.mark.parametrize("name", OBSERVERS)
def test_setting_it_changes_something(name, faces, observed):
    observer, value, needed = OBSERVERS[name]
    usual = Config(dataset=faces, max_batches=2, run="train", **(SMALL | needed))
    changed = dataclasses.replace(usual, **{name: value})
    assert observed(observer, usual) != observed(observer, changed)
