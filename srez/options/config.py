"""Every option of srez, declared once, with its checks; flags, help and docs/options.md are made from it."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from srez.errors import UserError
from srez.options.rules import NEWEST, contradictions, option, out_of_range

SYNTHETIC = "synthetic"
SCRATCH, PRETRAINED = "scratch", "pretrained"
IN_USE = ("upscale", "eval", "export")  # what is done with a trained network
CROP_OPTIONS = ("crop_size", "crop_wiggle", "crop_x", "crop_y")  # which square of a picture is used
RUNS = ("train", "demo", *IN_USE, "study", "report")
KERAS_CACHE = "cache"
OBJECTIVES = ("dcgan", "wgan", "wgangp", "lsgan", "hinge")


@dataclass(frozen=True)
class Config:
    """All options of one command. Frozen: whoever needs another value makes a new one."""

    run: str = option("demo", "what to do", choices=RUNS, group="command")
    dry_run: bool = option(
        False, "print options, networks, dataset size and planned batches, then stop", group="command"
    )

    dataset: str = option(
        "dataset",
        "folder of pictures, a .pack of one (download_data.py --pack), or 'synthetic': built-in drawn faces",
        group="files",
    )
    train_dir: str = option("train", "folder for sample grids and films", group="files")
    checkpoint_dir: str = option(
        "checkpoint", "folder for checkpoints, config.json and metrics.jsonl", group="files"
    )
    summary_dir: str = option("summary", "folder for TensorBoard", group="files")
    resume: bool = option(
        True, "continue from the newest checkpoint; --noresume moves the old run aside", group="files"
    )
    checkpoint_keep: int = option(5, "how many checkpoints to keep", low=1, group="files")
    checkpoint_period: int = option(10000, "time between checkpoints", unit="batches", low=1, group="files")
    checkpoint_minutes: float = option(
        10.0,
        "a checkpoint at the latest after this long; 0: by checkpoint_period alone",
        unit="minutes",
        low=0,
        group="files",
    )
    summary_period: int = option(200, "time between sample grids", unit="batches", low=1, group="files")
    log_period: int = option(10, "time between lines of figures", unit="batches", low=1, group="files")
    output_image: int = option(
        0, "1: also write every held-out face's output as a PNG of its own", choices=(0, 1), group="files"
    )

    train_time: float = option(
        200.0, "stop after this long, all sessions of the run together; 0: no limit", unit="minutes", low=0
    )
    max_batches: int = option(0, "stop after this many, if train_time is not up before; 0: no limit", low=0)
    batch_size: int = option(16, "pictures in one batch", unit="pictures", low=1, fixed=True)
    on_divergence: str = option(
        "stop",
        "restore: go back to the last checkpoint with half the learning rate, at most three times",
        choices=("stop", "restore"),
    )
    random_seed: int = option(
        0, "seed of weights, data order, augmentation and noise", low=0, high=2**31 - 1, fixed=True
    )
    deterministic: bool = option(False, "bit-for-bit repeatable arithmetic, slower on GPUs")

    crop_size: int = option(
        128, "side of the square that becomes the label", unit="pixels", low=8, group="data"
    )
    crop_wiggle: int = option(
        8, "how far the crop may move each way in training", unit="pixels", low=0, group="data"
    )
    crop_x: int = option(
        -1,
        "left edge of the crop; -1: 25 in 178x218 pictures (CelebA), else centred",
        unit="pixels",
        low=-1,
        group="data",
    )
    crop_y: int = option(
        -1,
        "upper edge of the crop; -1: 60 in 178x218 pictures (CelebA), else centred",
        unit="pixels",
        low=-1,
        group="data",
    )
    sample_size: int = option(
        64, "side of label and output", unit="pixels", choices=(64, 128), group="data", fixed=True
    )
    scale_factor: int = option(
        4, "output side / input side, for scaled input", choices=(2, 4, 8), group="data", fixed=True
    )
    input: str = option(
        "scaled",
        "what the generator sees: the averaged-down face, or noise",
        choices=("scaled", "noise"),
        group="data",
        fixed=True,
    )
    noise_dimension: int = option(
        4, "side of the noise input", unit="pixels", low=1, group="data", fixed=True
    )
    train_noise: float = option(
        0.03, "standard deviation of noise added to the generator's input in training", low=0, group="data"
    )
    test_vectors: int = option(16, "held-out faces, never trained on", unit="pictures", low=1, group="data")

    gen_architect: str = option(
        "resnet", "generator", choices=("resnet", "deconv"), group="networks", fixed=True
    )
    gen_norm: int = option(
        1, "batch norm in the generator: 1 with, 0 without", choices=(0, 1), group="networks", fixed=True
    )
    critic_norm: str = option(
        "batch",
        "normalization in the critic",
        choices=("batch", "layer", "spectral", "none"),
        group="networks",
        fixed=True,
    )
    width: float = option(
        1.0, "multiplies the width of every layer", above=0, high=8, group="networks", fixed=True
    )
    start_from: str = option(
        SCRATCH,
        "whose generator a new training begins with: nobody's (scratch), that of a checkpoint_dir or of an "
        "export's folder, or what comes with srez (pretrained)",
        group="networks",
        fixed=True,
    )
    back_projection: int = option(
        0,
        "rounds that add the enlarged difference between input and averaged-down output",
        unit="rounds",
        low=0,
        high=16,
        group="networks",
        in_use=2,
    )
    gene_ema: float = option(
        0.0,
        "exponential average of the generator for samples and in use; 0: off, 0.999 is typical",
        low=0,
        below=1,
        group="networks",
        fixed=True,
    )

    loss_func: str = option("dcgan", "objective", choices=OBJECTIVES, group="objective", fixed=True)
    gene_l1_factor: float = option(
        0.9,
        "share of mean |averaged-down output - input| in the generator's loss",
        low=0,
        high=1,
        group="objective",
    )
    gene_pixel_factor: float = option(
        0.0, "weight of mean |output - label| in the generator's loss", low=0, group="objective"
    )
    LAMBDA: float = option(10.0, "weight of the gradient penalty (wgangp)", low=0, group="objective")
    weigh_clip: int = option(
        -1,
        "clip the critic's weights: 1 yes, 0 no, -1 when loss_func is wgan",
        choices=(-1, 0, 1),
        group="objective",
    )
    clip_value: float = option(0.01, "weights are clipped to +- this", above=0, group="objective")
    critic_iters: int = option(
        1, "critic updates per generator update", unit="updates", low=1, group="objective", fixed=True
    )

    optimizer: str = option(
        "adam", "optimizer of both networks", choices=("adam", "rmsprop"), group="optimizer", fixed=True
    )
    learning_rate_start: float = option(1e-4, "first learning rate", above=0, group="optimizer")
    learning_rate_half_life: int = option(
        5000, "the learning rate is halved every so many", unit="batches", low=1, group="optimizer"
    )
    learning_beta1: float = option(0.5, "Adam's beta1", low=0, below=1, group="optimizer")
    learning_beta2: float = option(0.9, "Adam's beta2", low=0, below=1, group="optimizer")
    epsilon: float = option(1e-8, "Adam's epsilon", above=0, group="optimizer")

    precision: str = option(
        "float32",
        "arithmetic of the networks; weights stay float32",
        choices=("float32", "bfloat16", "float16"),
        group="machine",
        fixed=True,
    )
    strategy: str = option(
        "none",
        "devices that train together; mirrored: all GPUs here, multiworker: those of all machines in "
        "TF_CONFIG, auto: mirrored where there are two GPUs or more",
        choices=("none", "mirrored", "multiworker", "auto"),
        group="machine",
    )
    xla: bool = option(False, "compile the training step with XLA (GPUs)", group="machine")
    log_device_placement: bool = option(False, "print on which device every operation runs", group="machine")

    images: tuple = option(
        (), "picture, folder or pattern for upscale and eval; words without -- are the same", group="use"
    )
    output: str = option("output", "folder for what upscale, eval and export write", group="use")
    overwrite: bool = option(False, "replace files that are there already (upscale, export)", group="use")
    checkpoint: str = option(
        NEWEST, "which of checkpoint_dir: newest, a batch number, or a file of weights", group="use"
    )
    all_checkpoints: bool = option(False, "eval: every checkpoint of checkpoint_dir", group="use")
    format: str = option(
        "png", "upscale: kind of picture file", choices=("png", "jpg", "webp", "tiff"), group="use"
    )
    tile: int = option(
        128,
        "upscale: larger pictures go through in overlapping tiles of this side, which bounds the memory",
        unit="input pixels",
        low=16,
        group="use",
    )
    face: bool = option(
        False, "upscale: cut out the face as in training, average it down to the input's size", group="use"
    )
    compare: bool = option(
        False, "with --face: also write nearest, bicubic, generated, original side by side", group="use"
    )
    inception_weights: str = option(
        KERAS_CACHE,
        "eval: weights of Keras' InceptionV3 (no top), for FID and KID; cache: the file that Keras keeps",
        group="use",
    )
    export_formats: tuple = option(
        (),
        "export: which kinds, separated by commas; all that this machine can write if not given",
        choices=("savedmodel", "tflite", "onnx", "keras", "weights", "half_weights"),
        group="use",
    )

    study: str = option(
        "studies/paper.toml", "grid of trainings: a file, or the name of one in studies/", group="study"
    )
    study_dir: str = option("study", "folder for a study's trainings and its report", group="study")
    jobs: int = option(
        1, "trainings at once, each on a GPU of its own where there are several", low=1, group="study"
    )
    study_shard: str = option(
        "1/1", "I/N: only every N-th training, from the I-th (counted from 1)", group="study"
    )

    @property
    def noise_input(self) -> bool:
        return self.input == "noise"

    @property
    def factor(self) -> int:
        """Output side / input side of the generator (scale_factor does not apply to noise)."""
        return self.sample_size // self.noise_dimension if self.noise_input else self.scale_factor

    @property
    def input_size(self) -> int:
        """Side of the generator's input, pixels."""
        return self.sample_size // self.factor

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


def from_dict(values: dict[str, Any]) -> Config:
    """The Config of a config.json; what that does not have keeps its default, what is unknown is left out.

    Raises ValueError where a value is of another kind, or not allowed.
    """
    kept = {}
    for f in fields():
        if f.name in values:
            value = values[f.name]
            if f.type is tuple and isinstance(value, list) and all(isinstance(part, str) for part in value):
                value = tuple(value)
            number = f.type is float and type(value) is int
            if (type(value) is not f.type and not number) or out_of_range(value, f.metadata):
                raise ValueError(f"{f.name} is {value!r}")
            kept[f.name] = value
    return Config(**kept)


def check(config: Config) -> None:
    """Raise UserError, one line, on the first value out of range or contradiction."""
    for f in fields():
        problem = out_of_range(getattr(config, f.name), f.metadata)
        if problem:
            value = getattr(config, f.name)
            shown = ",".join(value) if isinstance(value, tuple) else value
            raise UserError(f"--{f.name}={shown}: must be {problem} ({f.metadata['help']})")
    for message in contradictions(config):
        raise UserError(message)
