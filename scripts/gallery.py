"""README's pictures from the grids of a training: the last one as a PNG, all of them as an animated WebP.

python3 scripts/gallery.py TRAIN_DIR [--output docs]

Ten faces a grid, laid out five and five side by side. Only for pictures that may be passed on: drawn faces
(./run_script.sh without a dataset/ folder), not CelebA.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from srez.options.config import Config
from srez_demo import FRAME_RATE, find_grids, frames_of, one_size, schedule


def side_by_side(grid: np.ndarray) -> Image.Image:
    """The lower half of a grid [h, w, 3], five faces of ten, to the right of the upper one."""
    return Image.fromarray(np.concatenate(np.split(grid, 2), axis=1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train_dir")
    parser.add_argument("--output", default=str(Path(__file__).resolve().parent.parent / "docs"))
    args = parser.parse_args()
    grids = find_grids(args.train_dir)
    if not grids:
        sys.exit(f"no grids in '{args.train_dir}': name the --train_dir of a training")
    ordered = one_size([grids[batch] for batch in sorted(grids)])
    shown = schedule(len(ordered), Config().demo_seconds)
    read = list(frames_of(ordered, shown))
    pictures = [side_by_side(grid) for grid, _ in read]
    pictures[-1].save(Path(args.output, "drawn_faces.png"), optimize=True)
    milliseconds = [round(1000 * frames / FRAME_RATE) for _, frames in read]
    pictures[0].save(
        Path(args.output, "drawn_faces.webp"),
        save_all=True,
        append_images=pictures[1:],
        duration=milliseconds,
        loop=0,
        quality=80,
        method=6,
    )


if __name__ == "__main__":
    main()
