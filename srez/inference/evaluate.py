"""Figures of a trained network against interpolation, with their protocol and their uncertainty."""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import tensorflow as tf

from srez.data.dataset import Dataset, open_dataset
from srez.data.portraits import override_crop, read_face, to_batch
from srez.data.samples import Batch, area_resize, centre_crop
from srez.errors import EXIT_DONE, EXIT_USER, UserError, one_line
from srez.images import find, layout
from srez.images.picture import UnusablePicture
from srez.inference.network import Network, load
from srez.inference.table import OTHER_REAL_FACES, Row, lines, with_intervals, write
from srez.metrics.perceptual import features as alexnet
from srez.metrics.pictures import EVAL_METRICS, lone_pixels
from srez.metrics.sets import (
    MIN_FOR_ALEXNET,
    MIN_FOR_INCEPTION,
    MISSING_WEIGHTS_MESSAGE,
    frechet_distance,
    inception,
    kernel_distance,
    neighbourhoods,
    sliced_wasserstein_levels,
)
from srez.options.config import Config
from srez.runs.trained import checkpoint_path, read_description, replace_folders, saved_batches
from srez.system import files
from srez.system.screen import SECONDS_BETWEEN_LINES, progress

BATCH_SIZE = 32  # pictures in memory of the network; figures do not depend on it
MAX_IN_SETS = 2048  # pictures from which distances of sets are taken, at most
INTERPOLATIONS = {"nearest": "nearest", "bicubic": "bicubic", "lanczos": "lanczos3"}

Method = Callable[[tf.Tensor], tf.Tensor]


@dataclass
class Faces:
    """Labels [N, S, S, 3] and features [N, s, s, 3] with the names of the pictures."""

    names: list[str]
    label: np.ndarray
    feature: np.ndarray
    where: str


def evaluate(config: Config) -> int:
    """Measure a network; the exit code, 2 where a picture could not be used."""
    features = inception(config.inception_weights)
    checkpoints = checkpoint_names(config)
    network = load(config.checkpoint_dir, checkpoints[0], config.precision)
    run = override_crop(replace_folders(network.config, config), config)
    dataset, trouble = _open_dataset(run, optional=bool(config.images))
    faces, skipped = read_portraits(config, run) if config.images else (held_out(dataset, run), [])
    others = other_faces(dataset, run, min(len(faces.names), MAX_IN_SETS)) if dataset else None
    which = network.name if len(checkpoints) == 1 else f"{len(checkpoints)} checkpoints"
    print(f"{len(faces.names)} {faces.where}; {which} of '{config.checkpoint_dir}'")

    measure = Measure(faces, features)
    plain = {name: interpolation(method, run) for name, method in INTERPOLATIONS.items()}
    rows = [measure.row("", name, method) for name, method in plain.items()]
    for checkpoint in checkpoints:
        network.load_weights(checkpoint_path(config.checkpoint_dir, checkpoint))
        for name, method in generators(network, config).items():
            rows.append(measure.row(network.name, name, method))
    if others is not None:
        rows.append(Row("", OTHER_REAL_FACES, {}, measure.distances(others)))

    real = measure.lone_pixels_of_labels()
    truth = Row("", "true faces", {"lone": (real, math.nan, math.nan)})
    for line in lines([*rows, truth], min(len(faces.names), MAX_IN_SETS)):
        print(line)
    rounds = network.config.back_projection
    if config.back_projection or rounds:
        print("rounds: of back projection, after which the output averaged down is more like the input")
    if config.back_projection < rounds:
        print(f"it was trained with {rounds} rounds and is worse without them")
    if trouble:
        print(f"no floor: {trouble}")
    for needed, what in ((MIN_FOR_ALEXNET, "AlexNet's"), (MIN_FOR_INCEPTION, "Keras' InceptionV3's")):
        if len(faces.names) < needed:
            print(
                f"no distances in {what} features: they need {needed:,} faces, here are {len(faces.names):,}"
            )
    if features is None and len(faces.names) >= MIN_FOR_INCEPTION:
        print(MISSING_WEIGHTS_MESSAGE)
    about = {"lone_pixels_of_labels": real, "faces": faces.where, "count": len(faces.names)}
    about |= {"skipped": skipped, "rounds_in_training": rounds}
    write(rows, about, config.output)
    picture = files.join(config.output, "eval.png")
    methods = plain | generators(network, config)
    files.write_whole(picture, layout.png(gallery(measure, methods, generator_name(config.back_projection))))
    print(f"best, median and worst face by PSNR: {picture}")
    return EXIT_USER if skipped else EXIT_DONE


def checkpoint_names(config: Config) -> list[str]:
    """The checkpoints to measure, oldest first. Raises UserError where --all_checkpoints finds none."""
    if not config.all_checkpoints:
        return [config.checkpoint]
    if batches := saved_batches(config.checkpoint_dir):
        return list(map(str, batches))
    raise UserError(f"--all_checkpoints: '{config.checkpoint_dir}' has none", "train first (--run train)")


def interpolation(method: str, run: Config) -> Method:
    """The function that resizes inputs to the size of the output with a method of tf.image.resize."""
    return partial(tf.image.resize, size=[run.sample_size, run.sample_size], method=method)


def generators(network: Network, config: Config) -> dict[str, Method]:
    """The network with the rounds of back projection that were asked for, and with those of its training."""
    rounds = sorted({network.config.back_projection, config.back_projection})
    return {generator_name(n): partial(network.infer, rounds=n) for n in rounds}


def generator_name(rounds: int) -> str:
    """What the network is called with so many rounds of back projection."""
    return f"generator, {rounds} rounds" if rounds else "generator"


def _open_dataset(run: Config, optional: bool) -> tuple[Dataset | None, str]:
    """The dataset of the training, or why it cannot be had."""
    try:
        dataset = open_dataset(run)
    except UserError as error:
        if not optional:
            raise
        return None, str(error)
    trained = read_description(run.checkpoint_dir)["dataset"]["fingerprint"]
    if dataset.source.fingerprint != trained:
        print(f"'{run.dataset}' is not what the network was trained on, or has changed since")
    return dataset, ""


def held_out(dataset: Dataset, run: Config) -> Faces:
    """The faces that the training has never seen."""
    batch = dataset.test_batch()
    names = [dataset.source.names[i] for i in dataset.test]
    return Faces(names, batch.label.numpy(), batch.feature.numpy(), f"held-out faces of '{run.dataset}'")


def read_portraits(config: Config, run: Config) -> tuple[Faces, list[str]]:
    """The faces of --images, and the paths of those that cannot be used; names them."""
    found, problems, passed_over = find.find_pictures(config.images)
    for line in passed_over:
        print(line)
    skipped = [word for word, _ in problems]
    for word, reason in problems:
        print(f"srez: skipped {word}: {reason}", file=sys.stderr)
    names, batches = [], []
    for path in found:
        try:
            face = read_face(files.read_bytes(path), run, run.sample_size)
        except (ValueError, OSError, tf.errors.OpError) as error:
            skipped.append(path)
            print(f"srez: skipped {path}: {one_line(error)}", file=sys.stderr)
            continue
        names.append(path)
        batches.append(to_batch([face], run))
    if not batches:
        raise UserError("none of the pictures can be used", "give portraits in --images")
    label, feature = (np.concatenate([getattr(b, part) for b in batches]) for part in ("label", "feature"))
    return Faces(names, label, feature, f"faces of {_few(config.images)}"), skipped


def _few(words: Sequence[str]) -> str:
    """Words in a row, the first three of more."""
    more = f" and {len(words) - 3} more" if len(words) > 3 else ""
    return ", ".join(words[:3]) + more


def other_faces(dataset: Dataset, run: Config, count: int) -> np.ndarray:
    """Labels [N, S, S, 3] of the first usable training faces, centre crop, no jitter."""
    crops = []
    for index in dataset.train:
        if len(crops) == count:
            break
        try:
            crops.append(centre_crop(dataset.source.window(int(index)), run.crop_size))
        except UnusablePicture:
            continue  # the dataset's own business: training names it
    return area_resize(tf.cast(np.stack(crops), tf.float32) / 255.0, run.sample_size).numpy()


@dataclass
class Measure:
    """Measures methods on faces; `features` is the network of FID and KID, or None.

    psnr: that of every face, [N], by method; of checkpoints the one that was measured last.
    """

    faces: Faces
    features: Callable[[np.ndarray], np.ndarray] | None
    at_once: int = BATCH_SIZE
    psnr: dict[str, np.ndarray] = field(default_factory=dict)

    def row(self, checkpoint: str, name: str, method: Method) -> Row:
        """A method's figures of pictures with their intervals, and its distances of sets to the labels."""
        values, outputs = self.of_each_face(f"{checkpoint} {name}".strip(), method)
        self.psnr[name] = values["psnr"]
        intervals = with_intervals(np.stack(list(values.values()), axis=1))
        return Row(checkpoint, name, dict(zip(values, intervals, strict=True)), self.distances(outputs))

    def of_each_face(self, name: str, method: Method) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """A method's figures of every face, [N] float64 by metric, and its first outputs [n, S, S, 3]."""
        outputs, values = [], {metric: [] for metric in EVAL_METRICS}
        for batch in self.batches(name):
            output = tf.clip_by_value(method(batch.feature), 0.0, 1.0)
            for metric, of in EVAL_METRICS.items():
                values[metric].append(of(output, batch.label, batch.feature).numpy())
            if len(outputs) * self.at_once < MAX_IN_SETS:
                outputs.append(output.numpy())
        table = {metric: np.concatenate(of).astype(np.float64) for metric, of in values.items()}
        return table, np.concatenate(outputs)[:MAX_IN_SETS]

    def distances(self, pictures: np.ndarray) -> dict[str, float]:
        """Distances between a set of pictures [N, S, S, 3] and the labels."""
        label = self.faces.label[:MAX_IN_SETS]
        levels = sliced_wasserstein_levels(label, pictures)
        found = {f"swd_{side}": value for side, value in levels.items()}
        found["swd"] = float(np.mean(list(levels.values())))
        count = min(len(label), len(pictures))
        if count >= MIN_FOR_ALEXNET:
            one, other = self.alexnet_of_labels, alexnet(pictures)
            found["alexnet_frechet"] = frechet_distance(one, other)
            found["alexnet_kernel"] = kernel_distance(one, other)
            found |= {f"alexnet_{name}": share for name, share in neighbourhoods(one, other).items()}
        if self.features is not None and count >= MIN_FOR_INCEPTION:
            one, other = self.inception_of_labels, self.features(pictures)
            found["inceptionv3_frechet"] = frechet_distance(one, other)
            found["inceptionv3_kernel"] = kernel_distance(one, other)
        return found

    @cached_property
    def alexnet_of_labels(self) -> np.ndarray:
        return alexnet(self.faces.label[:MAX_IN_SETS])

    @cached_property
    def inception_of_labels(self) -> np.ndarray:
        return self.features(self.faces.label[:MAX_IN_SETS])

    def lone_pixels_of_labels(self) -> float:
        """How many lone pixels a true face has."""
        return float(np.mean(np.concatenate([lone_pixels(b.label) for b in self.batches("true faces")])))

    def batches(self, what: str) -> Iterator[Batch]:
        """The faces, `at_once` of them together, with a bar that says what they are for."""
        starts = range(0, len(self.faces.names), self.at_once)
        delay = 0 if sys.stderr.isatty() else SECONDS_BETWEEN_LINES
        for i in progress(starts, desc=what, leave=False, delay=delay):
            part = slice(i, i + self.at_once)
            yield Batch(tf.constant(self.faces.label[part]), tf.constant(self.faces.feature[part]))


def gallery(measure: Measure, methods: Mapping[str, Method], judged: str) -> np.ndarray:
    """Best, median and worst face by the PSNR of one method, one a row, under titles: uint8 [h, w, 3].

    What each method makes of them, then the truth. The one, `judged`, has been measured.
    """
    psnr = measure.psnr[judged]
    order = np.argsort(-psnr, kind="stable")
    chosen = order[[0, (len(order) - 1) // 2, -1]]
    feature, label = tf.constant(measure.faces.feature[chosen]), measure.faces.label[chosen]
    columns = {name: method(feature).numpy() for name, method in methods.items()} | {"truth": label}
    side = layout.TITLED_SIDE
    shown = [(name, layout.enlarge(layout.to_uint8(column), side)) for name, column in columns.items()]
    ranks = zip(("best", "median", "worst"), psnr[chosen], strict=True)
    caption = f"From above, by the PSNR of the {judged}: "
    caption += ", ".join(f"{rank} {value:.2f} dB" for rank, value in ranks)
    return layout.captioned(layout.titled_columns(shown, side), caption)
