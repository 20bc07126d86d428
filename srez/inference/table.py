"""The figures of --run eval as tables: on the screen, eval.json with the protocol, eval.csv."""

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from srez.metrics.pictures import LONE_PIXEL_LIMIT
from srez.metrics.sets import NEIGHBOURS
from srez.system import files
from srez.system.screen import aligned

RESAMPLES, BOOTSTRAP_SEED, MIN_FOR_INTERVAL = 2000, 0, 3
OTHER_REAL_FACES = "other real faces"
# on the screen: title, with an arrow to what is better, and decimals; 100 columns hold a name and three. PSNR
# stands for the squared error; the best number of lone pixels is that of true faces
METRICS_OF_TABLES = (
    {"lpips": ("LPIPS ↓", 3), "psnr": ("PSNR dB ↑", 2), "ssim": ("SSIM ↑", 3)},
    {"consistency": ("consistency dB ↑", 2), "lone": ("lone pixels", 1), "l1": ("L1 x 1000 ↓", 1)},
)
DISTANCES_OF_TABLES = {  # title of a table; titles and decimals of its columns, where there are such
    "in features of AlexNet": {
        "alexnet_frechet": ("Frechet ↓", 2),
        "alexnet_kernel": ("kernel ↓", 3),
        "alexnet_precision": ("precision ↑", 2),
        "alexnet_recall": ("recall ↑", 2),
        "alexnet_density": ("density ↑", 2),
        "alexnet_coverage": ("coverage ↑", 2),
    },
    "in features of Keras' InceptionV3": {
        "inceptionv3_frechet": ("Frechet (FID) ↓", 2),
        "inceptionv3_kernel": ("kernel (KID) ↓", 4),
    },
    "sliced Wasserstein": {
        **{f"swd_{side}": (f"{side}x{side} ↓", 2) for side in (128, 64, 32, 16)},
        "swd": ("mean ↓", 2),
    },
}
PROTOCOL = {
    "pixels": "RGB as stored, values 0..1, whole picture without a border left off; outputs clipped to 0..1, "
    "not rounded",
    "pictures": "the crop as in training without jitter, averaged down to label and input",
    "interpolation": "tf.image.resize: nearest, bicubic (a = -0.5), lanczos3; half-pixel centres",
    "psnr": "dB, of each picture, then the mean; at most 100",
    "ssim": "Gaussian 11x11, sigma 1.5, K1 0.01, K2 0.03, mean over channels and valid positions",
    "l1, mse": "mean over pixels and channels, values 0..1",
    "consistency": "PSNR between the input and the output averaged down to the input's size, dB",
    "lone": f"pixels above or below all eight neighbours by more than {LONE_PIXEL_LIMIT} in a channel",
    "swd": "sliced Wasserstein distance x 1000 to the labels, by pyramid level; 128 patches 7x7 a "
    "picture, normalized by channel, 4 x 128 directions (Karras et al. 2018)",
    "floor": f"'{OTHER_REAL_FACES}': as many training faces, centre crop, against the labels: what good a "
    "set distance can be",
    "interval": f"95%, percentiles of {RESAMPLES} bootstrap resamples of the pictures",
    "lpips": "LPIPS 0.1 with AlexNet (Zhang et al. 2018), of pictures as they are, not enlarged",
    "frechet, kernel": "distances of features, all pictures in one set; kernel (x.y/d + 1)^3, unbiased. They "
    "depend on the number of pictures: compare figures of equally many",
    "precision, recall, density, coverage": f"with {NEIGHBOURS} neighbours (Kynkaanniemi et al. 2019, Naeem "
    "et al. 2020)",
    "alexnet": "features: the last of LPIPS' layers, channels of length 1, mean over positions",
    "inceptionv3": "features of Keras' InceptionV3: not comparable with published FID and KID",
}


@dataclass
class Row:
    """Figures of one method: mean with interval by metric, distances of sets by name."""

    checkpoint: str
    method: str
    figures: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    distances: dict[str, float] = field(default_factory=dict)


def with_intervals(values: np.ndarray) -> list[tuple[float, float, float]]:
    """Mean and 95% bootstrap interval of every column of [N, M]; nan for the interval of less than three."""
    count = len(values)
    if count < MIN_FOR_INTERVAL:
        return [(float(mean), math.nan, math.nan) for mean in values.mean(axis=0)]
    random = np.random.default_rng(BOOTSTRAP_SEED)
    # how often each picture is drawn in a resample
    draws = (random.multinomial(count, np.full(count, 1 / count)) for _ in range(RESAMPLES))
    means = np.stack([drawn @ values for drawn in draws]) / count
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return [tuple(map(float, three)) for three in zip(values.mean(axis=0), low, high, strict=True)]


def lines(rows: list[Row], count: int) -> Iterator[str]:
    """Tables for the screen: figures of pictures with their intervals, three a table; distances of sets.

    Rows name their checkpoint where there are several, and are in the tables of which they have figures.
    count: of the pictures in a set.
    """
    several = len({row.checkpoint for row in rows if row.checkpoint}) > 1
    names = [f"{row.method} ({row.checkpoint})" if several and row.checkpoint else row.method for row in rows]
    for metrics in METRICS_OF_TABLES:
        table = [["", *(title for title, _ in metrics.values())]]
        for name, row in zip(names, rows, strict=True):
            of = row.figures
            if not of.keys().isdisjoint(metrics):
                table.append([name, *(_cell(of[m], *s) if m in of else "" for m, s in metrics.items())])
        yield from [*aligned(table), ""]
    yield f"Distances of sets: {count:,} pictures to as many faces"
    for title, columns in DISTANCES_OF_TABLES.items():
        shown = {name: column for name, column in columns.items() if name in rows[0].distances}
        if shown:
            table = [[title, *(column for column, _ in shown.values())]]
            for name, row in zip(names, rows, strict=True):
                of = row.distances  # fewer other faces may have fewer
                if of:
                    cells = (f"{of[d]:.{places}f}" if d in of else "" for d, (_, places) in shown.items())
                    table.append([name, *cells])
            yield from ["", *aligned(table)]


def _cell(figures: tuple[float, float, float], title: str, decimals: int) -> str:
    times = 1000 if "x 1000" in title else 1
    mean, low, high = (f"{times * value:.{decimals}f}" for value in figures)
    return mean if math.isnan(figures[1]) else f"{mean} [{low}, {high}]"


def write(rows: list[Row], about: dict[str, object], folder: str) -> None:
    """Write eval.json (with `about` and the protocol) and eval.csv; those of an earlier eval are replaced."""
    results = [
        {"checkpoint": row.checkpoint, "method": row.method}
        | {name: _mean_and_interval(figures) for name, figures in row.figures.items()}
        | row.distances
        for row in rows
    ]
    content = {"protocol": PROTOCOL, **about, "results": results}
    text = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(text, list(flat[0]), restval="")
    writer.writeheader()
    writer.writerows(flat)
    files.make_folder(folder)
    as_json, as_csv = (files.join(folder, f"eval.{ending}") for ending in ("json", "csv"))
    files.write_whole(as_json, (json.dumps(content, indent=1) + "\n").encode())
    files.write_whole(as_csv, text.getvalue().encode())
    print(f"protocol and figures: {as_json}, {as_csv}")


def _mean_and_interval(figures: tuple[float, float, float]) -> dict[str, float | None]:
    known = (None if math.isnan(value) else value for value in figures)
    return dict(zip(("mean", "low", "high"), known, strict=True))


def _flat(row: Row) -> dict[str, object]:
    flat: dict[str, object] = {"checkpoint": row.checkpoint, "method": row.method}
    for name, figures in row.figures.items():
        mean, low, high = _mean_and_interval(figures).values()
        flat |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return flat | row.distances
