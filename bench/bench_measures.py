"""What do measures of quality see? Each of them on pictures whose order is plain to the eye, as a table.

python3 bench/bench_measures.py FACES [--test_vectors 240]

Held-out faces of a folder, 64x64, beside themselves: enlarged from 16x16 by nearest and bicubic, changed in
other ways, and other real faces in their place. srez/report/measures.md is what this prints.
"""

import argparse
from collections.abc import Callable

import numpy as np
import scipy.ndimage
import tensorflow as tf

from srez.data.dataset import open_dataset
from srez.inference.evaluate import BATCH_SIZE, Measure, held_out, interpolation, other_faces
from srez.metrics.pictures import EVAL_METRICS
from srez.options.config import Config

TILE = 16  # pixels
# name in figures, title, decimals; the arrow points to what is better
COLUMNS = {
    "lpips": ("LPIPS ↓", 3),
    "psnr": ("PSNR ↑", 1),
    "ssim": ("SSIM ↑", 3),
    "consistency": ("consistency ↑", 1),
    "swd": ("SWD ↓", 1),
    "alexnet_frechet": ("AlexNet Fréchet ↓", 2),
    "alexnet_kernel": ("AlexNet kernel ↓", 3),
    "alexnet_precision": ("precision ↑", 2),
    "alexnet_recall": ("recall ↑", 2),
    "alexnet_density": ("density ↑", 2),
    "alexnet_coverage": ("coverage ↑", 2),
}


def less_contrast(pictures: np.ndarray) -> np.ndarray:
    """70% of each picture's contrast around its mean."""
    mean = pictures.mean(axis=(1, 2), keepdims=True)
    return mean + 0.7 * (pictures - mean)


def blurred(pictures: np.ndarray) -> np.ndarray:
    """By a Gaussian of one pixel's deviation."""
    return scipy.ndimage.gaussian_filter(pictures, (0, 1, 1, 0))


def noisy(pictures: np.ndarray) -> np.ndarray:
    """With noise of deviation 0.05, values 0..1."""
    noise = np.random.default_rng(0).normal(0, 0.05, pictures.shape)
    return np.clip(pictures + noise, 0, 1).astype(np.float32)


def shuffled(pictures: np.ndarray) -> np.ndarray:
    """Each picture's tiles in a random order of its own."""
    random, across = np.random.default_rng(0), pictures.shape[1] // TILE
    tiles = pictures.reshape(-1, across, TILE, across, TILE, 3).swapaxes(2, 3)
    tiles = tiles.reshape(len(pictures), -1, TILE, TILE, 3)
    tiles = np.stack([of_one[random.permutation(across**2)] for of_one in tiles])
    return tiles.reshape(-1, across, across, TILE, TILE, 3).swapaxes(2, 3).reshape(pictures.shape)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "the faces themselves": lambda pictures: pictures,
    "less contrast": less_contrast,
    "blurred": blurred,
    "noisy": noisy,
    "mirrored": lambda pictures: pictures[:, :, ::-1],
    "upside down": lambda pictures: pictures[:, ::-1],
    "shuffled tiles": shuffled,
}


def figures(measure: Measure, pictures: np.ndarray) -> dict[str, float]:
    """Figures of pictures [N, S, S, 3] beside the faces, by name."""
    label, feature = measure.faces.label, measure.faces.feature
    found = {}
    parts = [slice(i, i + BATCH_SIZE) for i in range(0, len(label), BATCH_SIZE)]
    batches = [[tf.constant(of[part]) for of in (pictures, label, feature)] for part in parts]
    for name in set(COLUMNS) & set(EVAL_METRICS):
        found[name] = float(np.mean(np.concatenate([EVAL_METRICS[name](*batch) for batch in batches])))
    return found | measure.distances(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="pictures of faces")
    parser.add_argument("--test_vectors", type=int, default=240, help="how many are held out")
    args = parser.parse_args()
    config = Config(dataset=args.folder, test_vectors=args.test_vectors)
    dataset = open_dataset(config)
    faces = held_out(dataset, config)
    measure = Measure(faces, None)
    print(f"| | {' | '.join(title for title, _ in COLUMNS.values())} |\n{'|---' * (1 + len(COLUMNS))}|")

    def show(name: str, pictures: np.ndarray) -> None:
        found = figures(measure, np.ascontiguousarray(pictures))
        cells = (f"{found[key] + 0.0:.{decimals}f}" for key, (_, decimals) in COLUMNS.items())
        print(f"| {name} | {' | '.join(cells)} |".replace("-0.00 ", "0.00 "), flush=True)

    for name, change in CHANGES.items():
        show(name, change(faces.label))
    for name in ("bicubic", "nearest"):
        show(name, np.clip(interpolation(name, config)(faces.feature).numpy(), 0, 1))
    show("other real faces", other_faces(dataset, config, len(faces.names)))


if __name__ == "__main__":
    main()
