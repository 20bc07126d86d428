"""Every option of srez, declared once; flags, help and docs/options.md are made from it."""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

from srez.options.rules import AUTO, NEWEST, OBJECTIVES_OF_2017, option

SYNTHETIC = "synthetic"
SCRATCH, PRETRAINED = "scratch", "pretrained"
USE_RUNS = ("upscale", "eval", "export", "serve")  # which use a trained network
USE_DEFAULTS = {"back_projection": 2, "precision": AUTO}  # other defaults of these
CROP_OPTIONS = ("crop_size", "crop_wiggle", "crop_x", "crop_y")  # which square of a picture is used
RUNS = ("train", "demo", *USE_RUNS, "compare", "study", "report")
KERAS_CACHE = "cache"
OBJECTIVES = ("dcgan", "wgan", "wgangp", "lsgan", "hinge")
GENERATORS = ("resnet", "deconv", "deconv_projected")

# an option of each group of --help
command_option = partial(option, group="command")
files_option = partial(option, group="files")
training_option = partial(option, group="training")
data_option = partial(option, group="data")
networks_option = partial(option, group="networks")
objective_option = partial(option, group="objective")
optimizer_option = partial(option, group="optimizer")
machine_option = partial(option, group="machine")
use_option = partial(option, group="use")
study_option = partial(option, group="study")


@dataclass(frozen=True)
class Config:
    """All options of one command. Frozen: whoever needs another value makes a new one."""

    run: str = command_option("demo", "what to do", choices=RUNS)
    dry_run: bool = command_option(
        False, "print options, networks, dataset size and planned batches, then stop"
    )

    dataset: str = files_option(
        "dataset",
        "folder of pictures, a .pack of one (download_data.py --pack), or 'synthetic': built-in drawn faces",
        path=True,
    )
    train_dir: str = files_option("train", "folder for sample grids and films", path=True)
    checkpoint_dir: str = files_option(
        "checkpoint", "folder for checkpoints, config.json and metrics.jsonl", path=True
    )
    summary_dir: str = files_option("summary", "folder for TensorBoard", path=True)
    resume: bool = files_option(
        True, "continue from the newest checkpoint; --noresume moves the old run aside"
    )
    checkpoint_keep: int = files_option(5, "how many checkpoints to keep", low=1)
    checkpoint_period: int = files_option(10000, "time between checkpoints", unit="batches", low=1)
    checkpoint_minutes: float = files_option(
        10.0, "a checkpoint at least this often; 0: by checkpoint_period alone", unit="minutes", low=0
    )
    summary_period: int = files_option(200, "time between sample grids", unit="batches", low=1)
    log_period: int = files_option(10, "time between lines of figures", unit="batches", low=1)
    output_image: int = files_option(
        0, "1: also write every held-out face's output as a PNG of its own", choices=(0, 1)
    )
    demo_seconds: int = files_option(
        60, "demo: longest film; of more grids than it has room for some are shown", unit="seconds", low=3
    )

    train_time: float = training_option(
        200.0, "stop after this long, all sessions of the run together; 0: no limit", unit="minutes", low=0
    )
    max_batches: int = training_option(
        0, "stop after this many, if train_time is not up before; 0: no limit", low=0
    )
    batch_size: int = training_option(16, "pictures in one batch", unit="pictures", low=1, fixed=True)
    on_divergence: str = training_option(
        "stop",
        "restore: go back to the last checkpoint with half the learning rate, at most three times",
        choices=("stop", "restore"),
    )
    random_seed: int = training_option(
        0, "seed of weights, data order, augmentation and noise", low=0, high=2**31 - 1, fixed=True
    )
    fresh_critics: int = training_option(
        0,
        "WGAN-GP critics trained from scratch at batches 1, 2, 4, 8, ... times summary_period, to measure "
        "the generator by, beside the exact transport of every sample; 0: neither",
        unit="critics",
        low=0,
    )
    deterministic: bool = training_option(False, "bit-for-bit repeatable arithmetic, slower on GPUs")

    crop_size: int = data_option(128, "side of the square that becomes the label", unit="pixels", low=8)
    crop_wiggle: int = data_option(8, "how far the crop may move each way in training", unit="pixels", low=0)
    crop_x: int = data_option(
        -1, "left edge of the crop; -1: 25 in 178x218 pictures (CelebA), else centred", unit="pixels", low=-1
    )
    crop_y: int = data_option(
        -1, "upper edge of the crop; -1: 60 in 178x218 pictures (CelebA), else centred", unit="pixels", low=-1
    )
    sample_size: int = data_option(
        64, "side of label and output", unit="pixels", choices=(64, 128), fixed=True
    )
    scale_factor: int = data_option(
        4, "output side / input side, for scaled input", choices=(2, 4, 8), fixed=True
    )
    input: str = data_option(
        "scaled",
        "what the generator sees: the averaged-down face, or noise",
        choices=("scaled", "noise"),
        fixed=True,
    )
    noise_dimension: int = data_option(4, "side of the noise input", unit="pixels", low=1, fixed=True)
    train_noise: float = data_option(
        0.03, "standard deviation of noise added to the generator's input in training", low=0
    )
    degrade: str = data_option(
        "off",
        "photo: blurred, noisy, JPEG-coded inputs in training; back_projection makes outputs agree with them",
        choices=("off", "photo"),
        fixed=True,
    )
    cache: str = data_option(
        "auto",
        "keep decoded pictures in memory; auto: where all need at most a quarter of what is free",
        choices=("auto", "memory", "off"),
    )
    test_vectors: int = data_option(16, "held-out faces, never trained on", unit="pictures", low=1)

    gen_architect: str = networks_option("resnet", "generator", choices=GENERATORS, fixed=True)
    gen_norm: int = networks_option(
        1, "batch norm in the generator: 1 with, 0 without", choices=(0, 1), fixed=True
    )
    critic_norm: str = networks_option(
        "batch", "normalization in the critic", choices=("batch", "layer", "spectral", "none"), fixed=True
    )
    width: float = networks_option(1.0, "multiplies the width of every layer", above=0, high=8, fixed=True)
    start_from: str = networks_option(
        SCRATCH,
        "whose generator a new training begins with: nobody's (scratch), that of a folder (runs/NAME, a "
        "checkpoint_dir or an export's), or what comes with srez (sharp, or pretrained; faithful)",
        fixed=True,
        path=True,
    )
    back_projection: int = networks_option(
        0, "rounds that add the enlarged difference between input and averaged-down output", low=0, high=16
    )
    gene_ema: float = networks_option(
        0.0,
        "exponential average of the generator for samples and in use; 0: off, 0.999 is typical",
        low=0,
        below=1,
        fixed=True,
    )

    loss_func: str = objective_option("dcgan", "objective", choices=OBJECTIVES, fixed=True)
    gene_l1_factor: float = objective_option(
        0.9,
        "share of mean |averaged-down output - clean input| in the generator's loss, before back projection",
        low=0,
        high=1,
    )
    gene_pixel_factor: float = objective_option(
        0.0, "weight of mean |output - label| in the generator's loss", low=0
    )
    gene_lpips_factor: float = objective_option(
        0.0, "weight of LPIPS of output and label, how different they look, in the generator's loss", low=0
    )
    LAMBDA: float = objective_option(10.0, "weight of the gradient penalty (wgan-gp)", low=0)
    weigh_clip: int = objective_option(
        -1, "clip the critic's weights: 1 yes, 0 no, -1 when loss_func is wgan", choices=(-1, 0, 1)
    )
    clip_value: float = objective_option(0.01, "weights are clipped to +- this", above=0)
    critic_iters: int = objective_option(
        1, "critic updates per generator update; 0: frozen as made", unit="updates", low=0, fixed=True
    )

    optimizer: str = optimizer_option(
        "adam", "optimizer of both networks", choices=("adam", "rmsprop"), fixed=True
    )
    learning_rate_start: float = optimizer_option(1e-4, "first learning rate", above=0)
    learning_rate_half_life: int = optimizer_option(
        5000, "the learning rate is halved every so many (half_life)", unit="batches", low=1
    )
    learning_rate_schedule: str = optimizer_option(
        "half_life",
        "how the learning rate goes on: half_life: halved again and again; cosine: down to a hundredth over "
        "learning_rate_batches, and stays there; constant",
        choices=("half_life", "cosine", "constant"),
        fixed=True,
    )
    learning_rate_batches: int = optimizer_option(
        0, "how long the learning rate falls (cosine); 0: not given", unit="batches", low=0, fixed=True
    )
    learning_beta1: float = optimizer_option(0.5, "Adam's beta1", low=0, below=1)
    learning_beta2: float = optimizer_option(0.9, "Adam's beta2", low=0, below=1)
    epsilon: float = optimizer_option(1e-8, "Adam's epsilon", above=0)

    precision: str = machine_option(
        "float32",
        "arithmetic of the networks; weights stay float32; auto: float32, but in upscale bfloat16 for "
        "pictures of more than 256x256, on GPUs and processors that have it, if it differs by at most three "
        "levels of 255",
        choices=("float32", "bfloat16", "float16", AUTO),
        fixed=True,
    )
    strategy: str = machine_option(
        "none",
        "devices that train together; mirrored: all GPUs here, multiworker: those of all machines in "
        "TF_CONFIG, auto: mirrored where there are two GPUs or more",
        choices=("none", "mirrored", "multiworker", "auto"),
    )
    xla: bool = machine_option(
        True, "on a single GPU: train in chunks of steps that XLA compiles; elsewhere step by step"
    )
    steps_at_once: str = machine_option(
        AUTO, "most steps in a chunk; auto: 20 where XLA compiles them, else 1", unit="steps"
    )
    compile_cache: str = machine_option(
        AUTO,
        "folder that keeps what XLA compiled for GPUs, for the next training; auto: the user's cache folder, "
        "off: none",
        path=True,
    )
    log_device_placement: bool = machine_option(False, "print on which device every operation runs")

    images: tuple = use_option(
        (), "picture, folder or pattern for upscale and eval; words without -- are the same", path=True
    )
    folders: tuple = use_option(
        (), "compare: folder of a run, or its checkpoint_dir; words without -- are the same", path=True
    )
    output: str = use_option("output", "folder for what upscale, eval, export and compare write", path=True)
    overwrite: bool = use_option(False, "replace files that are there already (upscale, export)")
    checkpoint: str = use_option(
        NEWEST,
        "which of checkpoint_dir: newest, a batch number, or a file of weights; or what comes with srez, "
        "whatever that holds: sharp or faithful",
        path=True,
    )
    all_checkpoints: bool = use_option(False, "eval: every checkpoint of checkpoint_dir")
    format: str = use_option("png", "upscale: kind of picture file", choices=("png", "jpg", "webp", "tiff"))
    tile: int = use_option(
        128,
        "upscale: larger pictures go through in overlapping tiles of this side, which bounds the memory",
        unit="input pixels",
        low=16,
    )
    face: bool = use_option(
        False, "upscale: enlarge the small faces of photographs, each found and brought upright"
    )
    aligned: bool = use_option(
        False, "with --face: the pictures are framed as in training: cut out the face there, search for none"
    )
    min_face: int = use_option(
        16,
        "with --face: smallest face that is searched for, side of the square around it",
        unit="pixels",
        low=8,
    )
    only_largest: bool = use_option(False, "with --face: of each picture's faces the largest alone")
    redraw: bool = use_option(
        False,
        "with --face: a test of the network: average every face down to the input's size, whatever its own, "
        "and make it anew from that",
    )
    paste: str = use_option(
        AUTO,
        "with --face: also the whole picture, enlarged by Lanczos, with its enlarged faces put back; "
        "auto: where it is more than the face",
        choices=(AUTO, "on", "off"),
    )
    compare: bool = use_option(
        False,
        "with --face: also a strip of what the network sees, plain enlargement, its output and, "
        "where it is known, the true face",
    )
    port: int = use_option(7860, "serve: where the page is, http://127.0.0.1:PORT/", low=1, high=65535)
    inception_weights: str = use_option(
        KERAS_CACHE,
        "eval: weights of Keras' InceptionV3 (no top), for FID and KID; cache: the file that Keras keeps",
        path=True,
    )
    export_formats: tuple = use_option(
        (),
        "export: which kinds, separated by commas; all that this machine can write if not given",
        choices=("savedmodel", "tflite", "onnx", "keras", "weights", "half_weights"),
    )

    study: str = study_option(
        "studies/paper.toml", "grid of trainings: a name of srez/studies, or the path of a file", path=True
    )
    study_dir: str = study_option("study", "folder for a study's trainings and its report", path=True)
    engine: str = study_option(
        "local", "where trainings run: on this machine, or on a cluster of Ray", choices=("local", "ray")
    )
    jobs: int = study_option(
        1, "trainings at once on a machine, which share its processors, GPUs and --cache's memory", low=1
    )
    ray_address: str = study_option(
        AUTO, "ray: the cluster's HOST:PORT; auto: RAY_ADDRESS, this machine's cluster, or a new one here"
    )
    ray_gpus: float = study_option(
        -1.0, "ray: GPUs of each training, or a part of one; -1: a machine's by --jobs, at most one", low=-1
    )
    study_shard: str = study_option("1/1", "I/N: only every N-th training, from the I-th (counted from 1)")

    def __post_init__(self):
        object.__setattr__(self, "loss_func", OBJECTIVES_OF_2017.get(self.loss_func, self.loss_func))

    @property
    def noise_input(self) -> bool:
        """Whether the generator's input is noise instead of averaged-down faces."""
        return self.input == "noise"

    @property
    def factor(self) -> int:
        """Output side / input side of the generator; scale_factor does not apply to noise."""
        return self.sample_size // self.noise_dimension if self.noise_input else self.scale_factor

    @property
    def input_size(self) -> int:
        """Side of the generator's input, pixels."""
        return self.sample_size // self.factor

    @property
    def batches_per_step(self) -> int:
        """How many batches a step takes: one for each critic update, one where the critic is frozen."""
        return max(1, self.critic_iters)

    @property
    def window_side(self) -> int:
        """Largest side of the part of a picture in which the crop may move, pixels."""
        return self.crop_size + 2 * self.crop_wiggle

    @property
    def clips_weights(self) -> bool:
        """Whether the critic's weights are clipped after each of its updates."""
        return self.loss_func == "wgan" if self.weigh_clip == -1 else self.weigh_clip == 1


def fields() -> tuple[dataclasses.Field, ...]:
    """All options in the order of their declaration."""
    return dataclasses.fields(Config)


def to_dict(config: Config) -> dict[str, Any]:
    """Options by name, ready for JSON."""
    return dataclasses.asdict(config)
