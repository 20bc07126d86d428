"""The training loop."""

import dataclasses
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import tensorflow as tf

from srez_checkpoint import Checkpoints
from srez_config import EXIT_DIVERGED, EXIT_DONE, EXIT_INTERRUPTED, SYNTHETIC, Config, to_dict
from srez_input import Batch, Dataset, open_dataset
from srez_model import build_critic, build_generator
from srez_optimizers import learning_rate
from srez_report import Report
from srez_run import Run
from srez_step import Trainer
from srez_stop import Stop

RESTORES = 3  # times that --on_divergence=restore goes back


@dataclass
class Budget:
    """How long a training lasts: batches done, minutes trained in this and earlier sessions."""

    config: Config
    batch: int
    earlier: float

    def __post_init__(self):
        self._start, self._first = time.monotonic(), self.batch
        self.saved()

    def saved(self) -> None:
        """Note that a checkpoint holds all that was done so far."""
        self.saved_batch, self._saved_minutes = self.batch, self.minutes

    @property
    def checkpoint_due(self) -> bool:
        """Whether checkpoint_period batches or checkpoint_minutes have passed."""
        waited, most = self.minutes - self._saved_minutes, self.config.checkpoint_minutes
        return due(self.batch, self.config.checkpoint_period) or bool(most and waited >= most)

    @property
    def minutes(self) -> float:
        return self.earlier + (time.monotonic() - self._start) / 60

    @property
    def progress(self) -> float:
        """0..1, by whichever limit is nearer."""
        shares = [self.batch / self.config.max_batches] if self.config.max_batches else []
        shares += [self.minutes / self.config.train_time] if self.config.train_time else []
        return min(1.0, max(shares))

    @property
    def remaining(self) -> float | None:
        """Minutes to go; None before this session's first batch where only batches are limited."""
        limits = [self.config.train_time - self.minutes] if self.config.train_time else []
        if self.config.max_batches and self.batch > self._first:
            pace = (self.minutes - self.earlier) / (self.batch - self._first)
            limits.append(pace * (self.config.max_batches - self.batch))
        return max(0.0, min(limits)) if limits else None

    @property
    def spent(self) -> str:
        """The limit that is reached, or nothing."""
        if self.config.max_batches and self.batch >= self.config.max_batches:
            return f"--max_batches={self.config.max_batches}"
        if self.config.train_time and self.minutes >= self.config.train_time:
            return f"--train_time={self.config.train_time:g}"
        return ""


def train(config: Config, stop: Stop) -> int:
    """Train until max_batches or train_time is reached, or a signal comes; the exit code."""
    run = Run(config).open()
    run.lock()
    try:
        code = train_run(config, run, stop)
        for attempt in range(1, RESTORES + 1):
            if code != EXIT_DIVERGED or config.on_divergence == "stop":
                break
            config = dataclasses.replace(config, learning_rate_start=config.learning_rate_start / 2)
            rate = config.learning_rate_start
            print(
                f"restored ({attempt} of {RESTORES}): back to the last checkpoint, learning rate now {rate:g}"
            )
            code = train_run(config, run, stop)
        return code
    finally:
        run.unlock()


def train_run(config: Config, run: Run, stop: Stop) -> int:
    """The training of an opened run; the exit code."""
    stop.defer = False  # until there is a batch to save
    dataset = open_dataset(config)
    run.describe(dataset.source.fingerprint, len(dataset.source))
    trainer = Trainer(config)
    checkpoints = Checkpoints(config, trainer)
    budget = Budget(config, *checkpoints.restore())
    greet(config, dataset, run, budget)
    if budget.spent:
        print(f"finished already: {budget.spent} is reached; a larger value goes on from {budget.batch}")
        return EXIT_DONE
    run.drop_metrics_after(budget.batch if budget.batch else -1)  # a fresh start writes batch 0 again

    with Report(config, run, trainer, dataset.test_batch()) as report:
        if budget.batch == 0:
            report.figures({"batch": 0, **report.sample(0)}, 0.0, None)
        stream = dataset.stream(budget.batch * config.critic_iters * config.batch_size)
        for batch in itertools.count(budget.batch + 1):
            losses = train_batch(trainer, stream, batch)
            budget.batch = batch
            report.count(config.batch_size * config.critic_iters)
            stop.defer = True
            spent = budget.spent
            last = bool(spent or stop.requested)
            sampling = bool(spent) or due(batch, config.summary_period)
            telling = sampling or due(batch, config.log_period)
            saving = last or budget.checkpoint_due
            if (telling or saving) and (bad := trainer.what_diverged()):
                return say_diverged(report, bad, budget.saved_batch, checkpoints)
            if (telling or saving) and (lost := run.make_again()):
                report.say(f"vanished, made again: {', '.join(lost)}; saving batch {batch} at once")
                report.reopen()
                saving = True
            if telling:
                tell(report, budget, losses, sampling)
            if saving:
                checkpoints.save(batch, budget.minutes)
                budget.saved()
            if last:
                break
        stream.close()
    return farewell(config, dataset, budget, stop)


def train_batch(trainer: Trainer, stream: Iterator[Batch], batch: int) -> dict[str, tf.Tensor]:
    """One step of both networks, after critic_iters - 1 of the critic alone on batches of their own."""
    number = tf.constant(batch, tf.int64)
    rate = tf.constant(learning_rate(trainer.config, batch), tf.float32)
    for turn in range(1, trainer.config.critic_iters):
        data = next(stream)
        trainer.critic_step(data.label, data.feature, number, rate, tf.constant(turn, tf.int64))
    data = next(stream)
    return trainer.step(data.label, data.feature, number, rate)


def due(batch: int, *periods: int) -> bool:
    """Whether a batch completes one of the periods."""
    return any(batch % period == 0 for period in periods)


def numbers(losses: dict[str, tf.Tensor]) -> dict[str, float]:
    """Losses as numbers; waits for the device."""
    return {name: float(value) for name, value in losses.items()}


def tell(report: Report, budget: Budget, losses: dict[str, tf.Tensor], sampling: bool) -> None:
    """A batch's figures, with those of the held-out faces if it is sampled."""
    figures = {"batch": budget.batch, "minutes": budget.minutes}
    # float16 gradients may overflow, which its loss scale mends; what may not was looked for before
    figures |= {name: value for name, value in numbers(losses).items() if math.isfinite(value)}
    figures |= {
        "learning_rate": learning_rate(budget.config, budget.batch),
        "images_per_second": report.speed(),
    }
    if sampling:
        figures |= report.sample(budget.batch)
    report.figures(figures, budget.progress, budget.remaining)


def dry_run(config: Config) -> int:
    """Print the resolved options, both networks, the dataset and the plan; the exit code."""
    for name, value in to_dict(config).items():
        print(f"--{name}={value}")
    for network in (build_generator(config, config.input_size), build_critic(config)):
        print(table_of(network))
    dataset = open_dataset(config)
    greet(config, dataset, Run(config), Budget(config, 0, 0.0))
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


# ---- what is said ----------------------------------------------------------------------------------


def greet(config: Config, dataset: Dataset, run: Run, budget: Budget) -> None:
    """What is trained on what."""
    kind = "drawn faces (not photographs)" if config.dataset == SYNTHETIC else "pictures"
    print(f"{len(dataset.train)} {kind} to train on, {len(dataset.test)} held out")
    if budget.batch:
        print(f"continuing after batch {budget.batch} ({budget.earlier:.1f} minutes)")
        for change in run.changes:
            print(f"changed since: {change}")


def say_diverged(report: Report, bad: tuple[int, str], saved: int, checkpoints: Checkpoints) -> int:
    """The first bad number and what is left; the exit code."""
    batch, name = bad
    left = f"the checkpoint of batch {saved} is good" if checkpoints.paths else "no checkpoint had been saved"
    report.say(
        f"srez: diverged: {name} was not finite at batch {batch}; {left}. "
        "Lower --learning_rate_start or choose another --loss_func"
    )
    return EXIT_DIVERGED


def farewell(config: Config, dataset: Dataset, budget: Budget, stop: Stop) -> int:
    """How it ended, where everything lies, how to go on; the exit code."""
    if dataset.damaged:
        print(f"{len(dataset.damaged)} pictures could not be used and were replaced by others")
    if stop.requested and not budget.spent:
        print(f"{stop.requested}: stopped after batch {budget.batch}, saved; the same command goes on")
        return EXIT_INTERRUPTED
    print(f"done: {budget.spent} reached at batch {budget.batch} after {budget.minutes:.1f} minutes")
    print(
        f"grids: {config.train_dir}, checkpoints: {config.checkpoint_dir}, TensorBoard: {config.summary_dir}"
    )
    print("next: the same command with --run demo makes a film; a larger limit trains on")
    return EXIT_DONE
