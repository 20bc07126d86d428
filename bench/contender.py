"""One contender of bench_step.py --device gpu, in a process of its own.

Two frameworks in one process would share the GPU's memory and want different versions of cuDNN. It is given
the contender as JSON, says on standard output when it is ready, and times a round for every line on standard
input: seconds of a step and the most GPU memory so far, 10^6 bytes.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX
import numpy as np

from srez.options.config import Config
from srez.system.compile_cache import start_together
from srez.system.machine import why_no_gpu

STEPS = 20  # of a compiled chunk
CHUNKS = 5  # in a round
CRITIC_LAYERS = (  # width, kernel, stride: the default critic's, as the peers build it
    (64, 3, 2),
    (128, 3, 2),
    (256, 3, 2),
    (512, 3, 2),
    (512, 3, 1),
    (512, 1, 1),
)


class Contender(NamedTuple):
    """run: does a round's steps and returns when the device has done them; memory: most bytes so far."""

    run: Callable[[], object]
    memory: Callable[[], float]


def pictures(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Random label [B, S, S, 3] and feature [B, s, s, 3]."""
    random = np.random.RandomState(0)
    sides = config.sample_size, config.input_size
    return tuple(random.rand(config.batch_size, side, side, 3).astype(np.float32) for side in sides)


def srez_contender(config: Config, mode: str, device: str) -> Contender:
    """This code's step in mode chunk (STEPS steps compiled into one call) or step (one by one)."""
    start_together()
    import tensorflow as tf

    from srez.training.memory import gpu_memory
    from srez_model import Gan

    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        sys.exit(f"TensorFlow finds no GPU: {why_no_gpu()}")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    label, feature = (tf.constant(x) for x in pictures(config))
    numbers = iter(range(10**9))

    if mode == "chunk":
        gan = Gan(config, compiled=True)
        turns = [STEPS, config.batches_per_step, 1, 1, 1, 1]
        label, feature = (tf.tile(x[None, None], turns) for x in (label, feature))
        rates = tf.fill([STEPS], 1e-4)
        random = [tf.identity(x) for x in gan.random_of_steps(tf.constant(1, tf.int64), STEPS)]

        def run() -> None:
            for _ in range(CHUNKS):
                first = tf.constant(1 + STEPS * next(numbers), tf.int64)
                figures = gan.steps(label, feature, *random, first, tf.constant(STEPS), rates)
                figures.numpy()  # waited for after each chunk, as in training
    else:
        gan, rate = Gan(config), tf.constant(1e-4)

        def run() -> None:
            for _ in range(CHUNKS * STEPS):
                losses = gan.step(label, feature, tf.constant(1 + next(numbers), tf.int64), rate)
            losses["generator_loss"].numpy()

    return Contender(run, lambda: 1e6 * gpu_memory().get("gpu_memory_mb", 0.0))


def torch_contender(config: Config, mode: str, device: str) -> Contender:
    """PyTorch's step; mode as in torch_peer.pytorch."""
    import torch
    from torch_peer import pytorch

    step = pytorch(config, *pictures(config), device, mode)

    def run() -> None:
        for _ in range(CHUNKS * STEPS):
            losses = step()
        losses["generator_loss"].item()  # waits for the device

    return Contender(run, torch.cuda.max_memory_allocated)


def jax_contender(config: Config) -> Contender:
    """JAX's steps, STEPS of them in a compiled call."""
    import jax
    from jax_peer import jax_steps

    chunk = jax_steps(config, *pictures(config), STEPS)

    def run() -> None:
        for _ in range(CHUNKS):
            chunk()

    return Contender(run, lambda: (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0))


def contender(framework: str, mode: str, options: dict[str, Any], device: str) -> Contender:
    """A contender by its framework (srez, torch, jax), its mode, and the options of its Config."""
    config = Config(**options)
    if framework == "torch":
        return torch_contender(config, mode, device)
    return jax_contender(config) if framework == "jax" else srez_contender(config, mode, device)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what else is printed is no answer
    began = time.perf_counter()
    chosen = contender(**json.loads(sys.argv[1]))
    chosen.run()
    print(json.dumps({"ready": time.perf_counter() - began}), file=answers)
    for _ in sys.stdin:
        start = time.perf_counter()
        chosen.run()
        seconds = (time.perf_counter() - start) / (CHUNKS * STEPS)
        print(json.dumps({"seconds": seconds, "memory_mb": chosen.memory() / 1e6}), file=answers)


if __name__ == "__main__":
    main()
