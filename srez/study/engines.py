"""Where a study's trainings run: in threads of this process, or as tasks of a Ray cluster."""

import contextlib
import math
import os
import pickle
import queue
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from srez.errors import EXIT_INTERRUPTED, EXIT_USER, PREFIX, UserError, as_user_error, one_line
from srez.options.config import Config
from srez.options.rules import AUTO
from srez.study.train import RESULTS, Training, thread_share, train_one
from srez.system.machine import gpus, processors
from srez.system.signals import Interrupted

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

    What goes wrong on a node is an outcome, too: `exit` None, message: the node, what, the remedy. When the
    block ends, those that run finish their batch and save, and the others are not begun.
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
    needs = {"CPU": cpus / config.jobs, "GPU": gpus_each}

    def able() -> list[dict[str, Any]]:
        living = [node for node in ray.nodes() if node["Alive"]]
        return [n for n in living if all(n["Resources"].get(what, 0) >= needs[what] for what in needs)]

    if not able():
        lower = ", or lower --ray_gpus" if gpus_each else ""
        share = f"{needs['CPU']:.4g} processors and {gpus_each:.4g} GPUs for a training"
        say(f"waiting for a machine with {share}: the cluster has none; add one{lower}")
    hidden = {} if gpus_each else {"CUDA_VISIBLE_DEVICES": "-1"}  # newer Rays do not hide them
    environment, tasks, unfit = thread_share(cpus, config.jobs) | hidden, [], set()
    task = ray.remote(
        num_cpus=needs["CPU"],
        num_gpus=gpus_each,
        max_retries=-1,  # of nodes that die, and of trainings that were told to end before their node does
        retry_exceptions=[Interrupted],
        scheduling_strategy="SPREAD",
    )(train_on_node)

    def submit(training: Training, patience: float) -> "Future[dict[str, Any] | None]":
        nodes, elsewhere = able(), {}
        avoided = [node["NodeID"] for node in nodes if node["NodeManagerAddress"] in unfit]
        if 0 < len(avoided) < len(nodes):  # a node where all fails at once is always free to take the next
            elsewhere = {"label_selector": {"ray.io/node-id": f"!in({','.join(avoided)})"}}
        sent = pickle.dumps(training)  # of objects without their module there Ray prints a traceback
        tasks.append(task.options(**elsewhere).remote(sent, environment, os.getcwd(), patience))
        ended: Future[dict[str, Any] | None] = Future()

        def tell(done: Future) -> None:
            outcome = _of_error(error) if (error := done.exception()) else done.result()
            if outcome and outcome["exit"] not in RESULTS:
                unfit.add(outcome["node"])
            ended.set_result(outcome)

        tasks[-1].future().add_done_callback(tell)
        return ended

    try:
        yield submit
    finally:
        for one in tasks:
            ray.cancel(one)
        if tasks:
            ray.wait(tasks, num_returns=len(tasks))
        ray.shutdown()


def train_on_node(
    sent: bytes, environment: dict[str, str], folder: str, patience: float
) -> dict[str, Any] | None:
    """`train_one` as a task of Ray; sent: a pickled Training; folder: where relative paths begin.

    What the user can mend may be a fault of the node: it becomes an outcome whose `exit` is None.
    Raises Interrupted where something else than the study told the training to end: its node will.
    """
    import ray

    training, node, asked = pickle.loads(sent), ray.util.get_node_ip_address(), []
    try:
        os.chdir(folder)
        os.stat(training.store.study_file)
    except OSError as error:
        path = os.path.join(folder, error.filename)
        return _not_done(node, UserError(f"{path}: {error.strerror}", "share that folder, or ray stop there"))
    before = signal.signal(signal.SIGINT, lambda *_: asked.append(1))  # so comes ray.cancel
    gpu = ",".join(map(str, ray.get_gpu_ids()))
    try:
        outcome = train_one(training, environment, gpu, patience, print, lambda: asked)
    except (OSError, UserError) as error:
        return _not_done(node, as_user_error(error))
    finally:
        signal.signal(signal.SIGINT, before)
    if outcome and outcome["exit"] == EXIT_USER:
        return _not_done(node, outcome["message"].removeprefix(PREFIX))
    if outcome and outcome["exit"] == EXIT_INTERRUPTED and not asked:
        raise Interrupted("a training was told to end")
    return outcome and outcome | {"node": node}


def _not_done(node: str, problem: object) -> dict[str, Any]:
    return {"exit": None, "node": node, "message": f"node {node}: {problem}"}


def _of_error(error: BaseException) -> dict[str, Any]:
    """The outcome of a task that ended with an error of Ray, which names its node in its text alone."""
    text = str(error).strip() or type(error).__name__
    remedy = "see Ray's logs on it, /tmp/ray/session_latest/logs"
    if re.search("failed to import|No module named|Can't get attribute", text):
        remedy = "install the same srez there, in the environment of its Ray"
    problem = UserError(one_line(text.splitlines()[-1]), remedy)  # of a traceback the last line says it
    node = re.search(r"\bip=([^),]+)", text)
    return _not_done(node[1] if node else "unknown", as_user_error(getattr(error, "cause", error)) or problem)


def node_share(nodes: Sequence[Mapping[str, float]], jobs: int, wanted: float) -> tuple[int, float]:
    """Processors of the smallest node that trains, and the GPUs of each of `jobs` trainings on it.

    nodes: resources as Ray names them. wanted: GPUs of each, or negative: as many as there are, at most one,
    the same for all; where a node has GPUs only those do that have.
    """
    with_gpus = [node for node in nodes if 0 < node.get("GPU", 0) >= wanted] if wanted else []
    cpus = min((int(n["CPU"]) for n in with_gpus or nodes if n.get("CPU")), default=processors())
    if wanted >= 0 or not with_gpus:
        return cpus, max(0.0, wanted)
    return cpus, 1 / max(1, math.ceil(jobs / min(node["GPU"] for node in with_gpus)))


ENGINES = {"local": local, "ray": on_ray}
