"""GPU memory of a training: estimated beforehand, and as it is used."""

import math

import keras
import tensorflow as tf

from srez.options.config import Config
from srez.training.losses import OBJECTIVES

WEIGHT_BYTES = 4  # weights, their gradients and the optimizer's state are float32
# itself, its gradient, two that either optimizer keeps, and old values of three until all are known finite
NUMBERS_PER_WEIGHT = 7
ARITHMETIC_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def estimate_memory(config: Config, generator: keras.Model, critic: keras.Model, replicas: int = 1) -> float:
    """Bytes that training takes on each GPU, roughly: weights + activations.

    weights: those of both networks, NUMBERS_PER_WEIGHT each, and gene_ema's copy, new and old.
    activations: outputs of all layers for a replica's share of the batch; the critic's count for real and
    generated pictures, and twice more for the gradient penalty, a pass and its gradient.
    generator, critic: with fixed sizes of input.
    """
    # Outputs count once: the compiled default step in bfloat16 on an H100 is then estimated at 436
    # (batch 16), 465 (16, WGAN-GP) and 1,071 (64), and took 465, 465 and 974, in 10^6 bytes.
    weights = NUMBERS_PER_WEIGHT * (generator.count_params() + critic.count_params())
    if config.gene_ema:
        weights += 2 * generator.count_params()
    passes = 4 if OBJECTIVES[config.loss_func].penalized else 2
    activations = math.ceil(config.batch_size / replicas) * (_outputs(generator) + passes * _outputs(critic))
    return WEIGHT_BYTES * weights + ARITHMETIC_BYTES[config.precision] * activations


def _outputs(network: keras.Model) -> int:
    """Numbers that a network's layers give for one picture."""
    return sum(math.prod(layer.output.shape[1:]) for layer in network.layers)


def gpu_memory() -> dict[str, float]:
    """gpu_memory_mb: the most that TensorFlow has taken so far of any GPU here, in 10^6 bytes; {} without."""
    count = len(tf.config.list_physical_devices("GPU"))
    peaks = [tf.config.experimental.get_memory_info(f"GPU:{i}")["peak"] for i in range(count)]
    return {"gpu_memory_mb": max(peaks) / 1e6} if peaks else {}
