"""The training loop."""

import contextlib
import dataclasses
import hashlib
import itertools
import os
import sys
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from srez.data.dataset import Dataset, open_dataset
from srez.data.samples import Batch
from srez.errors import EXIT_DIVERGED, EXIT_DONE, EXIT_INTERRUPTED, UserError
from srez.networks.build import build_critic, build_generator
from srez.options.config import SYNTHETIC, Config, to_dict
from srez.runs.run import Run
from srez.system.machine import why_no_gpu
from srez.system.signals import Stop
from srez.training.budget import Budget
from srez.training.optimizers import learning_rate
from srez.training.record import Due, Record
from srez.training.replicas import Replicas, WorkerLost, open_replicas
from srez_input import open_stream
from srez_model import Gan

FOLDER_OPTIONS = {"dataset", "checkpoint_dir", "train_dir", "summary_dir"}
WORKERS_MAY_DIFFER = FOLDER_OPTIONS | {"resume", "log_device_placement"}
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
        gan = Gan(config, replicas)
    record = Record(config, run, dataset, gan)
    batch, minutes = replicas.of_chief(*record.restore())
    replicas.follow_chief(gan.state)
    budget = Budget(config, int(batch), minutes)
    print_start(dataset, budget, replicas, run.changes if run else [])
    if replicas.of_chief(bool(budget.spent))[0]:
        print(f"finished already: {budget.spent} is reached; a larger value goes on from {budget.batch}")
        return EXIT_DONE
    position = budget.batch * config.critic_iters * config.batch_size
    stream = open_stream(dataset, position, *replicas.share(config.batch_size))
    with contextlib.closing(record), contextlib.closing(stream):
        record.begin(budget)
        for batch in itertools.count(budget.batch + 1):
            losses = train_batch(gan, stream, batch)
            budget.batch = batch
            stop.defer = True
            due = what_is_due(config, budget, stop, replicas)
            if due.check_finite and (bad := gan.first_not_finite()):
                return report_divergence(record, bad, budget.saved_batch)
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


def what_is_due(config: Config, budget: Budget, stop: Stop, replicas: Replicas) -> Due:
    """What is to be done after this batch: by the chief's clock, or because of a signal to any worker."""
    chief = replicas.chief
    spent, checkpoint, interrupted = replicas.any(
        chief and bool(budget.spent), chief and budget.checkpoint_due, bool(stop.requested)
    )
    sample = spent or budget.batch % config.summary_period == 0
    figures = sample or budget.batch % config.log_period == 0
    return Due(figures, sample, checkpoint or spent or interrupted, spent, interrupted)


def train_batch(gan: Gan, stream: Iterator[Batch], batch: int) -> dict[str, tf.Tensor]:
    """One step of both networks, after critic_iters - 1 of the critic alone on batches of their own."""
    # NumPy's numbers: TensorFlow keeps the tensor of every Python number it meets, half a kB each, for ever
    number = tf.constant(np.int64(batch))
    rate = tf.constant(np.float32(learning_rate(gan.config, batch)))
    with gan.replicas.detecting_lost_workers():
        for turn in range(1, gan.config.critic_iters):
            data = next(stream)
            gan.critic_step(data.label, data.feature, number, rate, tf.constant(turn, tf.int64))
        data = next(stream)
        return gan.step(data.label, data.feature, number, rate)


def dry_run(config: Config) -> int:
    """Print the resolved options, both networks, the dataset and the plan; the exit code."""
    for name, value in to_dict(config).items():
        print(f"--{name}={value}")
    for network in (build_generator(config, config.input_size), build_critic(config)):
        print(table_of(network))
    dataset = open_dataset(config)
    # without the other workers, for which it would wait
    replicas = Replicas() if config.strategy == "multiworker" else open_replicas(config)
    print_start(dataset, Budget(config, 0, 0.0), replicas, [])
    each = config.batch_size * config.critic_iters
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
    print(f"training on {replicas.described}")
    if not tf.config.list_physical_devices("GPU") and (why := why_no_gpu()):
        print(why)
    if budget.batch:
        print(f"continuing after batch {budget.batch} ({budget.earlier:.1f} minutes)")
        for change in changes:
            print(f"changed since: {change}")


def report_divergence(record: Record, bad: tuple[int, str], saved: int) -> int:
    """Say which number was not finite at which batch, and which checkpoint is left; the exit code."""
    batch, name = bad
    left = f"the checkpoint of batch {saved} is good" if saved else "no checkpoint had been saved"
    remedy = "Lower --learning_rate_start or choose another --loss_func"
    record.say(f"srez: diverged: {name} was not finite at batch {batch}; {left}. {remedy}")
    return EXIT_DIVERGED


def print_end(config: Config, dataset: Dataset, budget: Budget, last: Due, stop: Stop) -> int:
    """Print how the training ended, where everything lies and how to go on; the exit code."""
    if dataset.damaged:
        print(f"{len(dataset.damaged)} pictures could not be used and were replaced by others")
    if not last.spent:
        signal = stop.requested or "a signal to another worker"
        print(f"{signal}: stopped after batch {budget.batch}, saved; the same command goes on")
        return EXIT_INTERRUPTED
    print(f"done: {budget.spent} reached at batch {budget.batch} after {budget.minutes:.1f} minutes")
    checkpoints = f"checkpoints: {config.checkpoint_dir}"
    print(f"grids: {config.train_dir}, {checkpoints}, TensorBoard: {config.summary_dir}")
    print("next: the same command with --run demo makes a film; a larger limit trains on")
    return EXIT_DONE
