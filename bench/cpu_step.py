"""The training step on a processor, beside stock Keras and PyTorch: bench_step.py's default."""

import argparse
import dataclasses
import json
import math
import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from contender import CRITIC_LAYERS

from srez.networks.layers import Conv, Deconv, UpscaleConv
from srez.options.config import Config
from srez.system.screen import quiet_stderr
from srez_model import Gan

with quiet_stderr():
    import keras
    import tensorflow as tf
try:
    from torch_peer import pytorch
except ImportError:  # PyTorch is not installed
    pytorch = None

PEAK_SIDE = 2048


# ---- arithmetic ------------------------------------------------------------------------------------


def multiplications(model: keras.Model, size: int) -> tuple[int, int]:
    """Multiply-adds of one picture's forward pass: of all layers, and of the first one with weights."""
    counts = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            side = size
        if not isinstance(layer, (Conv, Deconv, UpscaleConv)):
            continue
        if isinstance(layer, Conv):
            side = -(-side // layer.stride)
        counts.append(side**2 * math.prod(layer.kernel.shape))  # the kernel once a pixel of its smaller side
        if not isinstance(layer, Conv):
            side *= 2
    return sum(counts), counts[0]


def least_operations(gan: Gan) -> float:
    """Floating-point operations of one step without penalty: nothing twice, in the cheapest known form."""
    generator, first = multiplications(gan.generator, gan.config.input_size)
    critic, critic_first = multiplications(gan.critic, gan.config.sample_size)
    # generator: forward, weights' gradient, and inputs' gradient but for the first layer
    total = 3 * generator - first
    # critic, real and fake: the same; for the generator's loss once more back to the picture
    total += 2 * (3 * critic - critic_first) + critic
    return 2.0 * total * gan.config.batch_size


# ---- contenders ------------------------------------------------------------------------------------

# one step; what it gives, losses by name, can be turned into numbers once the device has done it
Step = Callable[[], dict[str, Any]]


def ours(gan: Gan, label: tf.Tensor, feature: tf.Tensor) -> Step:
    """This code's step."""
    rate, batch = tf.constant(1e-4), iter(range(1, 10**9))
    return lambda: gan.step(label, feature, tf.constant(next(batch), tf.int64), rate)


def stock_keras(config: Config, label: tf.Tensor, feature: tf.Tensor, like: Gan | None = None) -> Step:
    """A plain step from the layer list: UpSampling2D, Conv2D, BatchNormalization, Keras' Adam.

    With the weights of `like`, where one is given.
    """
    layers = keras.layers

    def norm_relu(x):
        return layers.ReLU()(layers.BatchNormalization(scale=False, epsilon=1e-3)(x))

    def block(x, width):
        if x.shape[-1] != width:
            x = layers.Conv2D(width, 1)(x)
        y = layers.Conv2D(width, 3, padding="same")(norm_relu(x))
        y = layers.Conv2D(width, 3, padding="same")(norm_relu(y))
        return layers.Add()([x, y])

    x = source = keras.Input((config.input_size, config.input_size, 3))
    for width in (256, 128):
        x = layers.UpSampling2D()(block(block(x, width), width))
        x = layers.Conv2D(width, 3, padding="same")(norm_relu(x))
    x = layers.Conv2D(96, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(96, 1, activation="relu")(x)
    generator = keras.Model(source, layers.Conv2D(3, 1, activation="sigmoid")(x))

    y = picture = keras.Input((config.sample_size, config.sample_size, 3))
    y = layers.Rescaling(2.0, -1.0)(y)
    for width, kernel, stride in CRITIC_LAYERS:
        y = norm_relu(layers.Conv2D(width, kernel, stride, padding="same")(y))
    critic = keras.Model(picture, layers.GlobalAveragePooling2D()(layers.Conv2D(1, 1)(y)))

    if like is not None:
        for model, other in ((generator, like.generator), (critic, like.critic)):
            copy_kernels(other, model)
    optimizers = [keras.optimizers.Adam(1e-4, 0.5, 0.9, 1e-8) for _ in range(2)]
    for optimizer, model in zip(optimizers, (generator, critic), strict=True):
        optimizer.build(model.trainable_variables)

    @tf.function
    def step(label, feature):
        noisy = feature + tf.random.normal(tf.shape(feature), stddev=config.train_noise)
        with tf.GradientTape(persistent=True) as tape:
            output = generator(noisy, training=True)
            real, fake = critic(label, training=True), critic(output, training=True)
            real_loss, fake_loss = tf.math.softplus(-real), tf.math.softplus(fake)
            critic_loss = tf.reduce_mean(real_loss) + tf.reduce_mean(fake_loss)
            small = tf.nn.avg_pool2d(output, config.factor, config.factor, "VALID")
            adversarial = tf.reduce_mean(tf.math.softplus(-fake))
            loss = 0.1 * adversarial + 0.9 * tf.reduce_mean(tf.abs(small - feature))
        for optimizer, model, value in zip(optimizers, (generator, critic), (loss, critic_loss), strict=True):
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(value, variables), variables)
        return {"generator_loss": loss, "discriminator_tot_loss": critic_loss}

    return lambda: step(label, feature)


def copy_kernels(ours: keras.Model, stock: keras.Model) -> None:
    """Kernels of this code's network into the stock one's; offsets are zero in both before training."""
    layers = [layer for layer in ours.layers if hasattr(layer, "kernel")]
    others = [layer for layer in stock.layers if hasattr(layer, "kernel")]
    for layer, other in zip(layers, others, strict=True):
        kernel = np.array(layer.kernel)
        # a transposed convolution with stride 1 is an ordinary one whose kernel is turned by 180 degrees
        other.kernel.assign(kernel[::-1, ::-1] if isinstance(layer, UpscaleConv) else kernel)


def check(config: Config, label: tf.Tensor, feature: tf.Tensor, steps: int = 3) -> None:
    """Print losses of this code and of stock Keras, from the same weights and without noise."""
    gan = Gan(config)
    stock = stock_keras(config, label, feature, like=gan)
    step = ours(gan, label, feature)
    for number in range(1, steps + 1):
        one, other = step(), stock()
        for name, value in other.items():
            print(f"step {number} {name:<24} srez {one[name]:.6f}  stock Keras {value:.6f}")


def peak(dtype: tf.DType, side: int) -> Step:
    """One large matrix multiplication."""
    a, b = (tf.cast(tf.random.normal([side, side]), dtype) for _ in range(2))
    multiply = tf.function(lambda: tf.reduce_sum(tf.matmul(a, b)[:1, :1]))
    return lambda: {"product": multiply()}


# ---- measuring -------------------------------------------------------------------------------------


def take_turns(contenders: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender's step, one after the other in every round; two rounds of warming up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 2):
        for name, run in contenders.items():
            start = time.perf_counter()
            float(next(iter(run().values())))
            if turn >= 2:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def measure(args: argparse.Namespace) -> None:
    """Time all contenders and print the table, or with --check their losses."""
    random = np.random.RandomState(0)
    (batch_size,) = args.batch_size
    config = Config(batch_size=batch_size)
    size = config.input_size
    with tf.device("/cpu:0"):
        label = tf.constant(random.rand(batch_size, 64, 64, 3), tf.float32)
        feature = tf.constant(random.rand(batch_size, size, size, 3), tf.float32)
        if args.check:
            check(dataclasses.replace(config, train_noise=0.0), label, feature)
            return
        contenders: dict[str, Step] = {}
        for name in args.precision:
            chosen = dataclasses.replace(config, precision=name)
            contenders[f"peak {name}"] = peak(tf.as_dtype(name), PEAK_SIDE)
            contenders[f"srez {name}"] = ours(Gan(chosen), label, feature)
            if pytorch is not None:
                contenders[f"PyTorch {name}"] = pytorch(chosen, label.numpy(), feature.numpy(), "cpu")
        other = dataclasses.replace(config, loss_func=args.objective, precision=args.precision[0])
        contenders[f"srez {args.objective} {other.precision}"] = ours(Gan(other), label, feature)
        contenders["stock Keras float32"] = stock_keras(config, label, feature)
        seconds = take_turns(contenders, args.rounds)
    report(args, seconds, least_operations(Gan(config)))


def report(args: argparse.Namespace, seconds: dict[str, list[float]], operations: float) -> None:
    """Print the table, and write it as JSON if asked to."""
    median = {name: statistics.median(times) for name, times in seconds.items()}
    product = 2.0 * PEAK_SIDE**3
    rows = []
    for name, times in seconds.items():
        if name.startswith("peak"):
            continue
        peak_seconds = next(
            (median[f"peak {word}"] for word in name.split() if f"peak {word}" in median), math.nan
        )
        rows.append(
            {
                "contender": name,
                "median": median[name],
                "min": min(times),
                "max": max(times),
                "images_per_second": args.batch_size[0] / median[name],
                "ratio_to_stock_keras": median[name] / median["stock Keras float32"],
                "share_of_peak": operations / median[name] * peak_seconds / product,
            }
        )
    print(f"{'':<24}{'median s':>9}{'min':>9}{'max':>9}{'images/s':>10}{'/ Keras':>9}{'of peak':>9}")
    for row in rows:
        print(
            f"{row['contender']:<24}{row['median']:>9.4f}{row['min']:>9.4f}{row['max']:>9.4f}"
            f"{row['images_per_second']:>10.1f}{row['ratio_to_stock_keras']:>9.2f}{row['share_of_peak']:>9.0%}"
        )
    for half in args.precision:
        if f"PyTorch {half}" in median:
            ratio = median[f"srez {half}"] / median[f"PyTorch {half}"]
            print(f"srez {half} / PyTorch {half}: {ratio:.2f}")
        print(f"matmul peak {half}: {1e-9 * product / median[f'peak {half}']:.0f} GFLOP/s")
    print(f"least arithmetic of a step: {operations / 1e9:.0f} GFLOP")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    ratio = median[f"srez {args.objective} {args.precision[0]}"] / median[f"srez {args.precision[0]}"]
    print(f"srez {args.objective} / srez: {ratio:.2f}")
    print(f"peak memory of this process, all contenders: {memory:.1f} GB")
    if args.json:
        Path(args.json).write_text(json.dumps({"rows": rows, "operations": operations}, indent=1) + "\n")
