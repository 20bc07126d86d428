"""Trains one device and two replicas on the same batches; prints how far their weights lie apart.

replicas_child.py OPTIONS... : each a JSON object of options; a line of JSON for each. The replicas are two
logical CPUs, or the workers of TF_CONFIG.
"""

import json
import os
import sys

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

import numpy as np
import tensorflow as tf

from srez.data.samples import Batch
from srez.options.config import Config
from srez.training.replicas import Replicas, open_replicas
from srez_model import Gan
from srez_train import train_batch

BATCHES, HALF_BATCHES = 10, 1  # float16 rounds so coarsely that more batches compare the roundings
USUAL = {"gen_architect": "deconv", "width": 0.03125, "batch_size": 4, "random_seed": 1}
# an epsilon that keeps Adam from enlarging what rounding does: to tiny gradients, to a ReLU at its kink
USUAL |= {"epsilon": 1.0, "learning_rate_start": 1e-2}


def compare(options: dict, replicas: Replicas) -> dict:
    """Largest differences by variable, how far the weights moved, the generator's losses."""
    config = Config(**(USUAL | options))
    both = one, two = Gan(config), Gan(config, replicas)
    assert (one.replicas.count, two.replicas.count) == (1, 2)
    random = np.random.RandomState(0)
    side = config.noise_dimension if config.noise_input else config.input_size

    def batch():
        label = tf.constant(random.rand(4, 64, 64, 3), tf.float32)
        return Batch(label, tf.constant(random.rand(4, side, side, 3), tf.float32))

    batches = HALF_BATCHES if config.precision == "float16" else BATCHES
    data = [[batch() for _ in range(config.batches_per_step)] for _ in range(batches)]
    before = [v.numpy() for v in one.generator_variables]
    losses = [train(gan, data) for gan in both]
    apart = {
        a.path: max(float(np.abs(a.numpy() - copy.numpy()).max()) for copy in b.value.values)
        for a, b in zip(variables(one), variables(two), strict=True)
        if a.path not in without_gradient(one)
    }
    moved = max(
        float(np.abs(a.numpy() - b).max()) for a, b in zip(one.generator_variables, before, strict=True)
    )
    return {"apart": apart, "moved": moved, "losses": losses}


def train(gan: Gan, data: list[list[Batch]]) -> list[float]:
    """The generator's losses of the batches, of which this process takes its share."""
    first, count = gan.replicas.share(gan.config.batch_size)
    mine = slice(first, first + count)
    losses = []
    for number, turn in enumerate(data, 1):
        shares = iter([Batch(batch.label[mine], batch.feature[mine]) for batch in turn])
        losses.append(float(train_batch(gan, shares, number)["generator_loss"]))
    return losses


def variables(gan) -> list:
    networks = {id(m): m for m in (gan.generator, gan.critic, gan.average)}
    return [v for model in networks.values() for v in model.variables]


def without_gradient(gan) -> set[str]:
    """Paths of the offsets that a batch norm takes away again: their gradients are all rounding."""
    paths = set()
    for network, normed, last in (
        (gan.generator, gan.config.gen_norm == 1, 3),
        (gan.critic, gan.config.critic_norm == "batch", 1),
    ):
        convolutions = [layer for layer in network.layers if hasattr(layer, "kernel")]
        paths |= {layer.offset.path for layer in convolutions[:-last] if normed}
    return paths


if __name__ == "__main__":
    strategy = "multiworker" if "TF_CONFIG" in os.environ else "mirrored"
    if strategy == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    # once a process: TensorFlow numbers what they exchange anew for each
    two = open_replicas(Config(**USUAL, strategy=strategy))
    for words in sys.argv[1:]:
        print(json.dumps(compare(json.loads(words), two)), flush=True)
