"""True to the face against as sharp as a face: several generators side by side, as a table and a plot.

python3 scripts/frontier.py --dataset FACES LABEL=CHECKPOINT_DIR ... [--output docs]

For trainings that differ in one choice, on the held-out faces of the first. Writes frontier.png (PSNR against
sliced Wasserstein distance, and lone pixels) and frontier_faces.png (what each makes of the same drawn faces:
photographs of CelebA may not be passed on), and prints a table. Lone pixels
(srez/metrics/pictures.py) are the artefact that neither of the two shows.
"""

import argparse
import dataclasses
import itertools
import sys
from pathlib import Path

from matplotlib.figure import Figure

from srez.data.dataset import open_dataset
from srez.errors import UserError, as_user_error
from srez.images import layout
from srez.inference.evaluate import Measure, held_out, interpolation
from srez.inference.network import DEFAULT_ROUNDS, load
from srez.inference.table import Row
from srez.options.config import SYNTHETIC

FACES = 8  # drawn ones, in frontier_faces.png
REAL = "real faces"


def figures(row: Row) -> dict[str, float]:
    """What is shown of a row of --run eval."""
    everything = {name: mean for name, (mean, *_) in row.figures.items()} | row.distances
    return {
        name: everything[name]
        for name in ("lpips", "psnr", "ssim", "consistency", "swd_64", "swd_32", "lone")
    }


def plot(rows: dict[str, dict[str, float]], bicubic: float) -> Figure:
    """PSNR and lone pixels against sliced Wasserstein distance at full size."""
    figure = Figure(figsize=(8, 3.2), layout="constrained", dpi=130)
    panels = figure.subplots(1, 2)
    for axes, name, title in zip(panels, ("psnr", "lone"), ("PSNR, dB", "lone pixels a face"), strict=True):
        for (label, values), marker in zip(rows.items(), itertools.cycle("osD^vP*X")):
            if name in values:
                axes.plot(values["swd_64"], values[name], marker, label=label, alpha=0.8)
        axes.axvline(bicubic / 3, color="#888888", linestyle=":", linewidth=1, label="a third of bicubic's")
        axes.margins(0.1)
        axes.set(xlabel="sliced Wasserstein distance, 64x64", ylabel=title)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return figure


def compare(folders: dict[str, str], dataset: str, output: Path) -> None:
    """Print the table of trainings by label, and write plot and picture. Raises UserError or OSError."""
    networks = {name: load(folder) for name, folder in folders.items()}
    config = dataclasses.replace(next(iter(networks.values())).config, dataset=dataset)
    measure = Measure(held_out(open_dataset(config), config), None)
    drawn_config = dataclasses.replace(config, dataset=SYNTHETIC, test_vectors=FACES)
    drawn = held_out(open_dataset(drawn_config), drawn_config)
    interpolations = {name: interpolation(name, config) for name in ("nearest", "bicubic")}

    rows = {"bicubic": figures(measure.row("", "bicubic", interpolations["bicubic"]))}
    columns = [method(drawn.feature) for method in interpolations.values()]
    for name, network in networks.items():
        rows[name] = figures(
            measure.row("", name, lambda feature, its=network: its.infer(feature, DEFAULT_ROUNDS))
        )
        columns.append(network.upscale(drawn.feature))
    rows[REAL] = {"swd_64": 0.0, "lone": measure.lone_pixels_of_labels()}
    shown = list(rows["bicubic"])
    print(f"| | {' | '.join(shown)} |\n{'|---' * (1 + len(shown))}|")
    for name, values in rows.items():
        cells = (f"{values[key]:.4g}" if key in values else "" for key in shown)
        print(f"| {name} | {' | '.join(cells)} |")
    bicubic = rows.pop("bicubic")
    plot(rows, bicubic["swd_64"]).savefig(output / "frontier.png")
    faces = layout.columns_to_grid([*columns, drawn.label])
    layout.write_png(str(output / "frontier_faces.png"), faces)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trainings", nargs="+", metavar="LABEL=CHECKPOINT_DIR")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--output", default=str(Path(__file__).resolve().parent.parent / "docs"))
    args = parser.parse_args()
    folders = {}
    for training in args.trainings:
        name, given, folders[name] = training.partition("=")
        if not given:
            parser.error(f"'{training}': write LABEL=CHECKPOINT_DIR")
    try:
        compare(folders, args.dataset, Path(args.output))
    except (UserError, OSError) as error:
        sys.exit(f"frontier.py: {as_user_error(error)}")


if __name__ == "__main__":
    main()
