"""True to the face against as sharp as a face: several generators side by side, as a table and a plot.

python3 docs/frontier.py --dataset FACES LABEL=CHECKPOINT_DIR ... [--output docs]

For trainings that differ in one choice, on the held-out faces of the first. Writes frontier.png (PSNR against
sliced Wasserstein distance, and lone pixels) and frontier_faces.png (what each makes of the same drawn faces:
photographs of CelebA may not be passed on), and prints a table. Lone pixels
(srez_metrics.lone_pixels) are the artefact that neither of the two shows.
"""

import argparse
import dataclasses
import itertools
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import srez_network
from srez_config import Config
from srez_distance import sliced_wasserstein_levels
from srez_input import open_dataset
from srez_metrics import lone_pixels, measure

FACES = 8  # drawn ones, in frontier_faces.png
REAL = "real faces"


def row(output: np.ndarray, label: np.ndarray, feature: np.ndarray) -> dict[str, float]:
    """All figures of pictures [N, h, w, 3] in [0, 1]."""
    levels = sliced_wasserstein_levels(label, output)
    distances = {f"swd {side}": levels[side] for side in list(levels)[:2]}
    return measure(output, label, feature) | distances | {"lone": float(np.mean(lone_pixels(output)))}


def plot(rows: dict[str, dict[str, float]], bicubic: float) -> Figure:
    """PSNR and lone pixels against sliced Wasserstein distance at full size."""
    figure = Figure(figsize=(8, 3.2), layout="constrained", dpi=130)
    panels = figure.subplots(1, 2)
    for axes, name, title in zip(panels, ("psnr", "lone"), ("PSNR, dB", "lone pixels a face"), strict=True):
        for (label, values), marker in zip(rows.items(), itertools.cycle("osD^vP*X")):
            if name in values:
                axes.plot(values["swd 64"], values[name], marker, label=label, alpha=0.8)
        axes.axvline(bicubic / 3, color="#888888", linestyle=":", linewidth=1, label="a third of bicubic's")
        axes.margins(0.1)
        axes.set(xlabel="sliced Wasserstein distance, 64x64", ylabel=title)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trainings", nargs="+", metavar="LABEL=CHECKPOINT_DIR")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--output", default=str(Path(__file__).resolve().parent))
    args = parser.parse_args()
    networks = {}
    for training in args.trainings:
        name, given, folder = training.partition("=")
        if not given:
            parser.error(f"'{training}': write LABEL=CHECKPOINT_DIR")
        networks[name] = srez_network.load(folder)
    config = dataclasses.replace(next(iter(networks.values())).config, dataset=args.dataset)
    batch = open_dataset(config).test_batch()
    label, feature = batch.label.numpy(), batch.feature.numpy()
    drawn = open_dataset(Config(dataset="synthetic", test_vectors=FACES)).test_batch()

    def bicubic(small: tf.Tensor) -> np.ndarray:
        return np.clip(tf.image.resize(small, label.shape[1:3], "bicubic"), 0, 1)

    rows, columns = {}, [drawn.feature.numpy().repeat(4, 1).repeat(4, 2), bicubic(drawn.feature)]
    for name, network in networks.items():
        rows[name] = row(np.clip(network.upscale(feature), 0, 1), label, feature)
        columns.append(np.clip(network.upscale(drawn.feature.numpy()), 0, 1))
    columns.append(drawn.label.numpy())
    blurred = row(bicubic(feature), label, feature)
    rows[REAL] = {"swd 64": 0.0, "lone": float(np.mean(lone_pixels(label)))}
    print("| | " + " | ".join(blurred) + " |\n" + "|---" * (1 + len(blurred)) + "|")
    for name, values in {"bicubic": blurred, **rows}.items():
        cells = (f"{values[key]:.4g}" if key in values else "" for key in blurred)
        print(f"| {name} | {' | '.join(cells)} |")
    plot(rows, blurred["swd 64"]).savefig(Path(args.output, "frontier.png"))
    faces = np.concatenate([np.concatenate(list(column)) for column in columns], axis=1)
    Image.fromarray((faces * 255 + 0.5).astype(np.uint8)).save(Path(args.output, "frontier_faces.png"))


if __name__ == "__main__":
    main()
