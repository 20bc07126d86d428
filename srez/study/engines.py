"""Where a study's trainings run: in threads of this process, or as tasks of a Ray cluster."""

import contextlib
import math
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from srez.errors import EXIT_INTERRUPTED, UserError, one_line
from srez.options.config import Config
from srez.options.rules import AUTO
from srez.study.train import Training, thread_share, train_one
from srez.system.machine import gpus, processors
from srez.system.signals import Interrupted

NODE_LOCK_SECONDS = 150.0  # an NFS server keeps the locks of a machine that died for a minute and a half
Say = Callable[[str], object]
# takes a training, and seconds to wait for another study's lock
Submit = Callable[[Training, float], "Future[dict[str, Any] | None]"]


@contextlib.contextmanager
def local(config: Config, say: Say) -> Iterator[Submit]:
    """A function that queues trainings for this machine, --jobs at once, each on a GPU of its own.

    When the block ends, those that run finish their batch and save, and the others are not begun.
    """
    stopping, slots, devices = threading.Event(), queue.SimpleQueue(), gpus() or [""]
    share = thread_share(processors(), config.jobs)
    for slot in range(config.jobs):
        slots.put(devices[slot % len(devices)])

    def train(training: Training, patience: float) -> dict[str, Any] | None:
        gpu = slots.get()
        try:
            return train_one(training, share, gpu, patience, say, stopping.is_set)
        finally:
            slots.put(gpu)

    with ThreadPoolExecutor(config.jobs) as pool:
        try:
            yield lambda training, patience: pool.submit(train, training, patience)
        finally:
            stopping.set()
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def on_ray(config: Config, say: Say) -> Iterator[Submit]:
    """A function that queues trainings as tasks of a Ray cluster, which does them again where a node dies.

    When the block ends, those that run finish their batch and save, and the others are not begun.
    Raises UserError where Ray is not installed, or the cluster does not answer.
    """
    try:
        import ray
    except ImportError:
        raise UserError("--engine=ray needs Ray", "pip install -e '.[cluster]'") from None
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # what trainings say differs in numbers alone
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of a study
    try:
        ray.init(None if config.ray_address == AUTO else config.ray_address, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        problem = f"--ray_address={config.ray_address}: no cluster answers ({one_line(error)})"
        raise UserError(problem, "start one with: ray start --head, or leave it out") from None
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus, gpus_each = node_share(nodes, config.jobs, config.ray_gpus)
    hidden = {} if gpus_each else {"CUDA_VISIBLE_DEVICES": "-1"}  # newer Rays do not hide them
    environment, tasks = thread_share(cpus, config.jobs) | hidden, []
    task = ray.remote(
        num_cpus=max(1, cpus // config.jobs),
        num_gpus=gpus_each,
        max_retries=-1,  # of nodes that die, and of trainings that were told to end before their node does
        retry_exceptions=[Interrupted],
        scheduling_strategy="SPREAD",
    )(train_on_node)

    def submit(training: Training, patience: float) -> "Future[dict[str, Any] | None]":
        tasks.append(task.remote(training, environment, os.getcwd()))
        return tasks[-1].future()

    try:
        yield submit
    finally:
        for one in tasks:
            ray.cancel(one)
        if tasks:
            ray.wait(tasks, num_returns=len(tasks))
        ray.shutdown()


def train_on_node(training: Training, environment: dict[str, str], folder: str) -> dict[str, Any] | None:
    """`train_one` as a task of Ray; folder: the current one, where relative paths begin.

    Raises Interrupted where something else than the study told the training to end: its node will.
    """
    import ray

    os.chdir(folder)
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: asked.append(1))  # so comes ray.cancel
    gpu = ",".join(map(str, ray.get_gpu_ids()))
    try:
        outcome = train_one(training, environment, gpu, NODE_LOCK_SECONDS, print, lambda: asked)
    finally:
        signal.signal(signal.SIGINT, before)
    if outcome and outcome["exit"] == EXIT_INTERRUPTED and not asked:
        raise Interrupted("a training was told to end")
    return outcome


def node_share(nodes: Sequence[Mapping[str, float]], jobs: int, wanted: float) -> tuple[int, float]:
    """Processors of the smallest node that trains, and the GPUs of each of `jobs` trainings on it.

    nodes: resources as Ray names them. wanted: GPUs of each, or negative: as many as there are, at most one,
    the same for all; where a node has GPUs only those do that have.
    """
    with_gpus = [node for node in nodes if node.get("GPU")] if wanted else []
    cpus = min((int(n["CPU"]) for n in with_gpus or nodes if n.get("CPU")), default=processors())
    if wanted >= 0 or not with_gpus:
        return cpus, max(0.0, wanted)
    return cpus, 1 / max(1, math.ceil(jobs / min(node["GPU"] for node in with_gpus)))


ENGINES = {"local": local, "ray": on_ray}
