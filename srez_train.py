"""The training loop."""

import contextlib
import dataclasses
import gc
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from srez.data.advice import advise
from srez.data.dataset import Dataset, open_dataset
from srez.data.samples import Batch
from srez.errors import EXIT_DIVERGED, EXIT_DONE, EXIT_INTERRUPTED, UserError
from srez.networks.build import build_critic, build_generator
from srez.options.config import SYNTHETIC, Config, to_dict
from srez.options.rules import AUTO, in_words
from srez.runs.run import Run
from srez.system.machine import why_no_gpu
from srez.system.screen import waiting
from srez.system.signals import Stop
from srez.training.budget import Budget, chunks
from srez.training.memory import estimate_memory
from srez.training.optimizers import describe_end_of_schedule, learning_rate
from srez.training.record import Due, Losses, Record
from srez.training.replicas import Replicas, WorkerLost, open_replicas
from srez_input import open_chunks, open_stream
from srez_model import FIGURES, Gan

FOLDER_OPTIONS = {"dataset", "checkpoint_dir", "train_dir", "summary_dir"}
WORKERS_MAY_DIFFER = FOLDER_OPTIONS | {"resume", "log_device_placement", "compile_cache", "cache", "jobs"}
STEPS_AT_ONCE = 20  # of a compiled chunk, where --steps_at_once is auto
MAX_RESTORES = 3  # times that --on_divergence=restore goes back


def train(config: Config, stop: Stop, run: Run | None = None) -> int:
    """Train until max_batches or train_time is reached, or a signal comes; the exit code.

    run: the run's folders, opened; None where that is left to the chief of several workers, known only here.
    """
    replicas = open_replicas(config)
    stop.take()
    try:
        if not replicas.chief:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                return train_and_restore(config, replicas, None, stop)
        run = run or Run(config).open()
        run.lock()
        try:
            return train_and_restore(config, replicas, run, stop)
        finally:
            run.unlock()
    except WorkerLost as lost:
        remedy = "start all workers again with the same command, to go on from the last checkpoint"
        print(f"srez: {lost}: {remedy}", file=sys.stderr)
        return EXIT_INTERRUPTED


def train_and_restore(config: Config, replicas: Replicas, run: Run | None, stop: Stop) -> int:
    """Train, and again from the last checkpoint with half the rate where --on_divergence wants it."""
    code = train_run(config, replicas, run, stop)
    for attempt in range(1, MAX_RESTORES + 1):
        if code != EXIT_DIVERGED or config.on_divergence == "stop":
            break
        config = dataclasses.replace(config, learning_rate_start=config.learning_rate_start / 2)
        rate = f"learning rate now {config.learning_rate_start:g}"
        print(f"restored ({attempt} of {MAX_RESTORES}): back to the last checkpoint, {rate}")
        code = train_run(config, replicas, run, stop)
    return code


def train_run(config: Config, replicas: Replicas, run: Run | None, stop: Stop) -> int:
    """Train from the newest checkpoint to a limit, a signal or divergence; the exit code."""
    stop.defer = False  # until there is a batch to save
    dataset = open_dataset(config)
    check_workers_agree(config, dataset, replicas)
    with replicas.detecting_lost_workers():  # variables begin with the chief's values
        compiled = is_compiled(config, replicas)
        gan = Gan(config, replicas, compiled)
    record = Record(config, run, dataset, gan)
    batch, minutes = replicas.of_chief(*record.restore())
    replicas.follow_chief(gan.updates.state)
    budget = Budget(config, int(batch), minutes)
    print_start(dataset, budget, replicas, run.changes if run else [])
    if replicas.of_chief(bool(budget.spent))[0]:
        print(f"finished already: {budget.spent} is reached; a larger value goes on from {budget.batch}")
        return EXIT_DONE
    engine, most = ENGINES[compiled], steps_at_once(config, compiled)
    data = engine.open(gan, dataset, budget.batch, most)
    with contextlib.closing(record), contextlib.closing(data):
        record.begin(budget)
        for chunk in chunks(config, budget.batch, most):
            losses = engine.train(gan, data, chunk, lambda: must_end(budget, stop, replicas))
            budget.advance(max(losses))
            stop.defer = True
            due = what_is_due(config, budget, losses, stop, replicas)
            if due.check_finite and (bad := gan.updates.first_not_finite()):
                record.write_lines([batch for batch in due.lines if batch < bad[0]], budget, losses)
                return report_divergence(record, f"{bad[1]} was not finite", bad[0], budget.saved_batch)
            if due.checkpoint and replicas.any(bool(ruined := record.ruined(due)))[0]:
                return report_divergence(record, ruined, budget.batch, budget.saved_batch)
            record.write(due, budget, losses)
            if due.last:
                break
    replicas.any(False)  # nobody leaves before the chief has saved
    return print_end(config, dataset, budget, due, stop)


def check_workers_agree(config: Config, dataset: Dataset, replicas: Replicas) -> None:
    """Raise UserError where the workers have different options or pictures."""
    options = {name: value for name, value in to_dict(config).items() if name not in WORKERS_MAY_DIFFER}
    text = repr((sorted(options.items()), dataset.source.fingerprint)).encode()
    mine = int.from_bytes(hashlib.sha256(text).digest()[:6])
    (chiefs,) = replicas.of_chief(mine)
    if any(replicas.any(mine != chiefs)):
        remedy = "give all the same command and the same dataset"
        raise UserError("the workers have different options or pictures", remedy)


def what_is_due(config: Config, budget: Budget, done: Iterable[int], stop: Stop, replicas: Replicas) -> Due:
    """What is to be done after these batches: by the chief's clock, or because of a signal to any worker."""
    chief = replicas.chief
    spent, checkpoint, interrupted = replicas.any(
        chief and bool(budget.spent), chief and budget.checkpoint_due, bool(stop.requested)
    )
    sample = spent or budget.batch % config.summary_period == 0
    lines = [n for n in done if n % config.log_period == 0 or (sample and n == budget.batch)]
    return Due(lines, sample, checkpoint or spent or interrupted, spent, interrupted)


def must_end(budget: Budget, stop: Stop, replicas: Replicas) -> bool:
    """Whether time is up or a signal has come, while a chunk is trained step by step."""
    stop.defer = True
    return any(replicas.any(replicas.chief and bool(budget.spent), bool(stop.requested)))


# ---- engines: how the steps of a chunk are trained ----------------------------------------------


class Engine(NamedTuple):
    """`open(gan, dataset, batch, most)`: the data of chunks of at most so many steps after a batch.

    `train(gan, data, chunk, must_end)`: train on the next chunk's batches; each step's losses by its batch.
    """

    open: Callable[[Gan, Dataset, int, int], Iterator]
    train: Callable[[Gan, Iterator, range, Callable[[], bool]], dict[int, Losses]]


def open_batches(gan: Gan, dataset: Dataset, batch: int, most: int) -> Iterator[Batch]:
    """Batches one by one, of each this process's share."""
    config = gan.config
    position = batch * config.batches_per_step * config.batch_size
    return open_stream(dataset, position, *gan.replicas.share(config.batch_size))


def train_one_by_one(
    gan: Gan, data: Iterator[Batch], chunk: range, must_end: Callable[[], bool]
) -> dict[int, Losses]:
    """Step by step; where `must_end`, the rest of the chunk is left out."""
    losses = {}
    for batch in chunk:
        losses[batch] = train_batch(gan, data, batch)
        if batch != chunk[-1] and must_end():
            break
    return losses


def train_batch(gan: Gan, stream: Iterator[Batch], batch: int) -> dict[str, tf.Tensor]:
    """One step of both networks, after those of the critic alone on batches of their own."""
    # NumPy's numbers: TensorFlow keeps the tensor of every Python number it meets, half a kB each, for ever
    number = tf.constant(np.int64(batch))
    rate = tf.constant(np.float32(learning_rate(gan.config, batch)))
    with gan.replicas.detecting_lost_workers():
        for turn in range(1, gan.config.batches_per_step):
            data = next(stream)
            gan.critic_step(data.label, data.feature, number, rate, tf.constant(turn, tf.int64))
        data = next(stream)
        return gan.step(data.label, data.feature, number, rate)


Chunk = tuple[Batch, tf.Tensor, tf.Tensor]  # data, training noise and penalty points of the steps of a chunk


def open_chunks_ahead(gan: Gan, dataset: Dataset, batch: int, most: int) -> Iterator[Chunk]:
    """Whole chunks on the GPU, the next one made while one is used."""
    config = gan.config
    position = batch * config.batches_per_step * config.batch_size
    (device, *_) = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")

    def chunk_data() -> Iterator[Chunk]:
        lengths = (len(chunk) for chunk in chunks(config, batch, most))
        with contextlib.closing(open_chunks(dataset, position, lengths, most, device.name)) as stream:
            for chunk, data in zip(chunks(config, batch, most), stream, strict=False):
                yield data, *gan.random_of_steps(tf.constant(np.int64(chunk[0])), most)

    data = chunk_data()
    with contextlib.closing(data), ThreadPoolExecutor(1) as maker:
        following = maker.submit(next, data)
        try:
            while True:
                chunk = following.result()
                following = maker.submit(next, data)
                yield chunk
        finally:
            gc.unfreeze()  # see train_compiled: another training may follow


def train_compiled(
    gan: Gan, data: Iterator[Chunk], chunk: range, must_end: Callable[[], bool]
) -> dict[int, Losses]:
    """All steps of a chunk in one compiled program."""
    batch, noise, alpha = next(data)
    most = len(batch.label)
    rates = np.float32([learning_rate(gan.config, n) for n in range(chunk[0], chunk[0] + most)])
    numbers = tf.constant(np.int64(chunk[0])), tf.constant(np.int32(len(chunk))), tf.constant(rates)
    compiled = gan.steps.experimental_get_tracing_count() > 0
    with contextlib.nullcontext() if compiled else waiting("compiling, about a minute, once"):
        figures = gan.steps(batch.label, batch.feature, noise, alpha, *numbers).numpy()
    if not compiled:
        gc.freeze()  # networks and graphs stay; to look through them for garbage takes as long as two chunks
    return {n: dict(zip(FIGURES, row, strict=True)) for n, row in zip(chunk, figures, strict=False)}


# by whether the step is compiled
ENGINES = {False: Engine(open_batches, train_one_by_one), True: Engine(open_chunks_ahead, train_compiled)}


def is_compiled(config: Config, replicas: Replicas) -> bool:
    """Whether the training runs in compiled chunks: on a single GPU, unless --noxla."""
    return config.xla and replicas.count == 1 and bool(tf.config.list_physical_devices("GPU"))


def steps_at_once(config: Config, compiled: bool) -> int:
    """The most steps in a chunk; no more than ever lie between two of its ends."""
    wanted = (STEPS_AT_ONCE if compiled else 1) if config.steps_at_once == AUTO else int(config.steps_at_once)
    return min(wanted, config.summary_period, config.checkpoint_period, config.max_batches or wanted)


def dry_run(config: Config) -> int:
    """Print the resolved options, both networks, the dataset and the plan; the exit code."""
    for name, value in to_dict(config).items():
        print(f"--{name}={in_words(name, value)}")
    generator, critic = build_generator(config, config.input_size), build_critic(config)
    for network in (generator, critic):
        print(table_of(network))
    dataset = open_dataset(config)
    # without the other workers, for which it would wait
    replicas = Replicas() if config.strategy == "multiworker" else open_replicas(config)
    print_start(dataset, Budget(config, 0, 0.0), replicas, [])
    memory = estimate_memory(config, generator, critic, replicas.count)
    print(f"memory that training takes on a GPU: about {memory / 1e9:.2g} GB")
    each = config.batch_size * config.batches_per_step
    if config.max_batches:
        epochs = config.max_batches * each / len(dataset.train)
        print(f"planned: {config.max_batches} batches of {each} pictures, {epochs:.1f} times the dataset")
    if config.train_time:
        print(f"planned: {'at most ' if config.max_batches else 'batches for '}{config.train_time:g} minutes")
    return EXIT_DONE


def table_of(network: keras.Model) -> str:
    """Layers with their output shapes and parameter counts."""
    rows = [f"{network.name}: {network.count_params():,} parameters"]
    for layer in network.layers:
        shape = " x ".join(str(n) for n in layer.output.shape[1:])
        rows.append(f"  {layer.name:<28}{shape:<18}{layer.count_params():>12,}")
    return "\n".join(rows)


def print_start(dataset: Dataset, budget: Budget, replicas: Replicas, changes: list[str]) -> None:
    """Print what is trained on, on which devices, from which batch on, and which options have changed."""
    kind = "drawn faces (not photographs)" if dataset.config.dataset == SYNTHETIC else "pictures"
    print(f"{len(dataset.train)} {kind} to train on, {len(dataset.test)} held out")
    compiled = is_compiled(budget.config, replicas)
    how = f", in compiled chunks of {steps_at_once(budget.config, True)} steps" if compiled else ""
    print(f"training on {replicas.described}{how}")
    if not tf.config.list_physical_devices("GPU") and (why := why_no_gpu()):
        print(why)
    if end := describe_end_of_schedule(dataset.config):
        print(end)
    if replicas.chief and not budget.batch and (advice := advise(dataset.config, dataset.source.names)):
        print(advice)
    if budget.batch:
        if not budget.spent:
            print(f"continuing after batch {budget.batch} ({budget.earlier:.1f} minutes)")
        for change in changes:
            print(f"changed since: {change}")


def report_divergence(record: Record, what: str, batch: int, saved: int) -> int:
    """Say what shows that the training diverged, and which checkpoint is left; the exit code."""
    left = f"the checkpoint of batch {saved} is good" if saved else "no checkpoint had been saved"
    remedy = "Lower --learning_rate_start or choose another --loss_func"
    record.say(f"srez: diverged: {what} at batch {batch}; {left}. {remedy}")
    return EXIT_DIVERGED


def print_end(config: Config, dataset: Dataset, budget: Budget, last: Due, stop: Stop) -> int:
    """Print how the training ended, where everything lies and how to go on; the exit code."""
    if dataset.damaged:
        print(f"{dataset.describe_damaged()} and were replaced by others")
    if not last.spent:
        signal = stop.requested or "a signal to another worker"
        print(f"{signal}: stopped after batch {budget.batch}, saved; the same command goes on")
        return EXIT_INTERRUPTED
    print(f"done: {budget.spent} reached at batch {budget.batch} after {budget.minutes:.1f} minutes")
    checkpoints = f"checkpoints: {config.checkpoint_dir}"
    print(f"grids: {config.train_dir}, {checkpoints}, TensorBoard: {config.summary_dir}")
    print("next: the same command with --run demo makes a film; a larger limit trains on")
    return EXIT_DONE
