"""GPU memory of a training: estimated beforehand, and as it is used."""

import math

import keras
import tensorflow as tf

from srez.options.config import Config
from srez.training.losses import OBJECTIVES

WEIGHT_BYTES = 4  # weights, their gradients and the optimizer's state are float32
NUMBERS_PER_WEIGHT = 4  # itself, its gradient, and two that either optimizer keeps
ARITHMETIC_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
WORKSPACE = 2.0  # for gradients of activations and what convolutions take; not measured


def estimate_memory(config: Config, generator: keras.Model, critic: keras.Model, replicas: int = 1) -> float:
    """Bytes that training takes on each GPU, roughly: weights + WORKSPACE * activations.

    weights: those of both networks with their gradients and the optimizer's state, and gene_ema's copy.
    activations: outputs of all layers for a replica's share of the batch; the critic's count for real and
    generated pictures, and twice more for the gradient penalty, a pass and its gradient.
    generator, critic: with fixed sizes of input.
    """
    weights = NUMBERS_PER_WEIGHT * (generator.count_params() + critic.count_params())
    if config.gene_ema:
        weights += generator.count_params()
    passes = 4 if OBJECTIVES[config.loss_func].penalized else 2
    activations = math.ceil(config.batch_size / replicas) * (_outputs(generator) + passes * _outputs(critic))
    return WEIGHT_BYTES * weights + WORKSPACE * ARITHMETIC_BYTES[config.precision] * activations


def _outputs(network: keras.Model) -> int:
    """Numbers that a network's layers give for one picture."""
    return sum(math.prod(layer.output.shape[1:]) for layer in network.layers)


def gpu_memory() -> dict[str, float]:
    """gpu_memory_mb: the most that TensorFlow has taken so far of any GPU here, in 10^6 bytes; {} without."""
    count = len(tf.config.list_physical_devices("GPU"))
    peaks = [tf.config.experimental.get_memory_info(f"GPU:{i}")["peak"] for i in range(count)]
    return {"gpu_memory_mb": max(peaks) / 1e6} if peaks else {}
