"""Replicas: devices that train together under tf.distribute, and what passes between them."""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import Tensor

from srez.errors import UserError, one_line
from srez.networks.replica import assign, of_first_replica, replica_index, sum_over_replicas
from srez.options.config import Config
from srez.system.machine import processors

# what TensorFlow raises in those that are left
WORKER_LOST_ERRORS = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,  # it has been started again meanwhile
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


class WorkerLost(Exception):
    """Another worker of the training has ended, or cannot be reached any more."""


class Replicas:
    """The replicas of a training: `count` of them, `local` in this process, which is one of `workers`.

    Every process draws its share of each batch, and every replica takes its part of that. All hold the same
    weights. What is told and written is the chief's business. Without a strategy: one replica, the chief.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None):
        self.strategy = strategy or tf.distribute.get_strategy()
        cluster = self.strategy.cluster_resolver
        roles = cluster.cluster_spec().as_dict() if cluster else {}
        self.workers = max(1, sum(map(len, roles.values())))
        self.index = 0
        if self.workers > 1:
            self.index = cluster.task_id + ("chief" in roles and cluster.task_type == "worker")
        self.chief = self.index == 0
        self.count = self.strategy.num_replicas_in_sync
        self.local = self.count // self.workers

    @property
    def described(self) -> str:
        """Which devices train, in words."""
        gpus = tf.config.list_physical_devices("GPU")
        here = f"{self.local} {'GPU' if gpus else 'CPU'}{'s' if self.local > 1 else ''}"
        if gpus:
            here += f" ({tf.config.experimental.get_device_details(gpus[0]).get('device_name', 'unknown')})"
        else:
            here += f" ({processors()} processor{'s' if processors() > 1 else ''})"
        return here if self.workers == 1 else f"{self.workers} workers with {here} each"

    def share(self, batch_size: int) -> tuple[int, int]:
        """Where this process's samples of a batch begin, and how many they are. Raises UserError."""
        if batch_size % self.count:
            raise UserError(
                f"--batch_size={batch_size} with {self.count} replicas: each must get as many pictures",
                f"take a multiple of {self.count}",
            )
        size = batch_size // self.workers
        return self.index * size, size

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag whether it is set on any worker. All workers must call it, at the same place."""
        if self.workers == 1:
            return flags
        return tuple(n > 0 for n in self._exchange(sum_over_replicas, flags))

    def of_chief(self, *numbers: float) -> tuple[float, ...]:
        """The chief's numbers (float64), on every worker. All workers must call it, at the same place."""
        if self.workers == 1:
            return numbers
        return self._exchange(of_first_replica, numbers)

    def _exchange(self, combine: Callable[[Tensor], Tensor], numbers: Sequence[float]) -> tuple[float, ...]:
        """The numbers of all workers, combined element by element; the same on all."""
        with self.detecting_lost_workers():
            return tuple(self._run_compiled(combine, tf.constant(numbers, tf.float64)).numpy().tolist())

    @tf.function(autograph=False)
    def _run_compiled(self, combine: Callable[[Tensor], Tensor], numbers: Tensor) -> Tensor:
        return self.run(combine, numbers)

    def follow_chief(self, variables: Iterable[tf.Variable]) -> None:
        """Give all workers the chief's values. All workers must call it, with the same variables."""
        if self.workers > 1:
            with self.detecting_lost_workers():
                self._copy_from_chief(list(variables))

    @tf.function(autograph=False)
    def _copy_from_chief(self, variables: list[tf.Variable]) -> None:
        def copy() -> None:
            for variable in variables:
                assign(variable, of_first_replica(variable))

        self.strategy.run(copy)

    @contextlib.contextmanager
    def detecting_lost_workers(self) -> Iterator[None]:
        """Where workers exchange numbers: raises WorkerLost where one of them is gone."""
        try:
            yield
        except WORKER_LOST_ERRORS as error:
            if self.workers == 1:
                raise
            raise WorkerLost(f"a worker is gone, or this one failed ({one_line(error.message)})") from None

    def run(self, function: Callable, *args: Any) -> Any:
        """Run a function on every replica; its result on the first one here."""
        found = self.strategy.run(function, args)
        return tf.nest.map_structure(lambda value: self.strategy.experimental_local_results(value)[0], found)

    def part_of_share(self, samples: Tensor) -> Tensor:
        """A replica's part of what its process was given, [share, ...]."""
        return self._part(samples, self.local)

    def part_of_batch(self, samples: Tensor) -> Tensor:
        """A replica's part of a whole batch, [batch_size, ...]."""
        return self._part(samples, self.count)

    def _part(self, samples: Tensor, parts: int) -> Tensor:
        if parts == 1:
            return samples
        size = tf.shape(samples)[0] // parts
        start = replica_index() % parts * size
        return samples[start : start + size]


def open_replicas(config: Config) -> Replicas:
    """The replicas that --strategy asks for; before TensorFlow's first operation. Raises UserError."""
    replicas = Replicas(STRATEGIES[config.strategy]())
    replicas.share(config.batch_size)
    return replicas


def _mirrored() -> tf.distribute.Strategy:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _multiworker() -> tf.distribute.Strategy:
    workers = check_cluster(os.environ.get("TF_CONFIG", ""))
    print(f"waiting until all {workers} workers of TF_CONFIG are there", flush=True)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise UserError(
            f"--strategy=multiworker: {one_line(error.message)}",
            "see that the addresses in TF_CONFIG are right, free and within reach, and that all workers run",
        ) from None


def check_cluster(text: str) -> int:
    """How many workers a TF_CONFIG names; raises UserError unless this process is among them."""
    example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
    try:
        content = json.loads(text)
        cluster, task = content["cluster"], content["task"]
        if not set(cluster) <= {"chief", "worker"}:
            raise ValueError("no roles but chief and worker")
        cluster[task["type"]][int(task["index"])]
        return sum(map(len, cluster.values()))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(
            f"--strategy=multiworker: TF_CONFIG is '{text}' ({type(error).__name__}: {error})",
            f"set it in the environment, as in TF_CONFIG='{example}'",
        ) from None


STRATEGIES: dict[str, Callable[[], tf.distribute.Strategy | None]] = {
    "none": lambda: None,
    "auto": lambda: _mirrored() if len(tf.config.list_logical_devices("GPU")) > 1 else None,
    "mirrored": _mirrored,
    "multiworker": _multiworker,
}
