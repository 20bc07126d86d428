"""Are faces found in photographs, how well are they framed, and up to which size does srez beat Lanczos?

python3 bench/bench_faces.py FACES [--collages 50] [--faces 240] [--json FILE]

FACES: CelebA's 178x218 pictures. On collages of six of them (faces 24 to 200 pixels high, turned by up to
30 degrees): how many are found, and how far the square around each lies from CelebA's own, as a share of its
side. What is found in scikit-image's pictures, most without people. PSNR and SSIM of faces that were reduced
to 16 to 48 pixels with all of their picture, straight and turned, enlarged by the generator that comes along
and by Lanczos. Two Markdown tables and a line.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import skimage
import tensorflow as tf
from PIL import Image

from srez.data.align import CELEBA_LANDMARKS, SQUARE, Face, find_faces, straighten
from srez.images import arrays
from srez.inference.network import Network, load
from srez.metrics.pictures import EVAL_METRICS

FACE_HEIGHT = 105  # of CelebA's faces on average, chin to hairline, pixels
CELL, COLUMNS, ROWS = 550, 3, 2
FOUND = 0.5  # a face counts as found where the squares are nearer than this share of their side
SIDES = (16, 20, 24, 28, 32, 40, 48)
REDUCED = {"box": Image.Resampling.BOX, "Lanczos": Image.Resampling.LANCZOS}
PEOPLE = {"astronaut.png", "camera.png"}  # of scikit-image's pictures


def corners(face: Face) -> np.ndarray:
    """The corners of a face's square in its picture, as complex numbers."""
    a, b = face.frame
    x, y = SQUARE.x + SQUARE.width * np.array([0, 1, 0, 1]), SQUARE.y + SQUARE.height * np.array([0, 0, 1, 1])
    return a * (x + 1j * y) + b


def placed(scale: float, degrees: float, middle: complex) -> Face:
    """CelebA's frame, enlarged and turned about its middle, which lies at a point."""
    a = scale * np.exp(1j * np.radians(degrees))
    points = a * (CELEBA_LANDMARKS @ (1, 1j) - (89 + 109j)) + middle
    return Face((0, 0, 1, 1), np.stack([points.real, points.imag], axis=1), 1.0)


def collage(paths: list[Path], random: np.random.Generator) -> tuple[np.ndarray, list[Face]]:
    """Six portraits, straight and turned, of many sizes, on a soft ground, and where their faces are."""
    size = (COLUMNS * CELL, ROWS * CELL)
    slope = np.linspace(0, 1, size[0])[None, :, None] * random.integers(-40, 40, 3)
    ground = np.broadcast_to(random.integers(60, 196, 3) + slope, (size[1], size[0], 3))
    picture, truth = Image.fromarray(ground.astype(np.uint8)), []
    for cell in range(COLUMNS * ROWS):
        portrait = Image.open(paths[random.integers(len(paths))]).convert("RGB")
        scale = np.exp(random.uniform(np.log(24), np.log(200))) / FACE_HEIGHT
        face = placed(
            scale,
            random.uniform(-30, 30),
            complex((cell % COLUMNS + 0.5) * CELL, (cell // COLUMNS + 0.5) * CELL),
        )
        portrait = portrait.resize([round(scale * n) for n in portrait.size], Image.Resampling.LANCZOS)
        a, b = face.frame
        turn, start = scale / a, -b * scale / a  # the collage's points -> the portrait's
        rows = (turn.real, -turn.imag, start.real, turn.imag, turn.real, start.imag)
        how = (size, Image.Transform.AFFINE, rows, Image.Resampling.BICUBIC)
        picture.paste(portrait.transform(*how), mask=Image.new("L", portrait.size, 255).transform(*how))
        truth.append(face)
    return np.asarray(picture), truth


def search_collages(paths: list[Path], count: int) -> dict:
    """How many faces are found, how well they are framed, how many are found where there are none."""
    offsets, wanted, false = [], 0, 0
    for seed in range(count):
        picture, truth = collage(paths, np.random.default_rng(seed))
        found = find_faces(picture)
        wanted += len(truth)
        hits = set()
        for face in truth:
            away = [np.abs(corners(one) - corners(face)).mean() / face.side for one in found]
            if away and min(away) < FOUND:
                offsets.append(min(away))
                hits.add(int(np.argmin(away)))
        false += len(found) - len(hits)
    offsets = np.array(offsets)
    return {
        "faces": wanted,
        "found": len(offsets) / wanted,
        "within 8%": float((offsets < 0.08).sum() / wanted),
        "median": float(np.median(offsets)),
        "largest": float(offsets.max()),
        "others": false,
    }


def search_samples() -> dict[str, int]:
    """Faces found in each picture that scikit-image brings along."""
    folder = Path(skimage.__file__).parent / "data"
    paths = [path for path in sorted(folder.iterdir()) if path.suffix in (".png", ".jpg")]
    return {path.name: len(find_faces(np.asarray(Image.open(path).convert("RGB")))) for path in paths}


def enlarged(
    path: Path, network: Network, side: int, degrees: float, how: Image.Resampling
) -> Iterator[np.ndarray]:
    """A portrait's true face of 64 pixels; that of srez and of Lanczos, made of the reduced picture."""
    whole = Image.open(path).convert("RGB").rotate(-degrees, Image.Resampling.BICUBIC)
    scale = side / SQUARE.width
    small = whole.resize([round(scale * n) for n in whole.size], how)
    at = placed(1, degrees, 89 + 109j)
    reduced = Face(at.box, at.landmarks * np.array(small.size) / whole.size, 1.0)
    pixels = np.asarray(small)
    yield straighten(np.asarray(whole), at, 64)
    yield network.enlarge_face(pixels, reduced).upright
    large = arrays.lanczos(pixels, (4 * small.height, 4 * small.width))
    yield straighten(large, reduced.within(0, 0, 4), 64)


def gains(paths: list[Path]) -> list[dict]:
    """Means over the portraits of PSNR and SSIM of srez and of Lanczos, for every size and reduction."""
    network, rows = load(checkpoint="sharp"), []
    for name, how in REDUCED.items():
        for degrees in (0, 10):
            for side in SIDES:
                faces = [list(enlarged(path, network, side, degrees, how)) for path in paths]
                true, srez, lanczos = (tf.constant(np.stack(one)) for one in zip(*faces, strict=True))
                row = {"reduced": name, "turned": degrees, "side": side}
                for metric in ("psnr", "ssim"):
                    of = EVAL_METRICS[metric]
                    row[metric] = [float(tf.reduce_mean(of(one, true, None))) for one in (srez, lanczos)]
                    better = of(srez, true, None) > of(lanczos, true, None)
                    row[f"{metric} better"] = float(tf.reduce_mean(tf.cast(better, tf.float32)))
                rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--collages", type=int, default=50)
    parser.add_argument("--faces", type=int, default=240)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    paths = sorted(options.folder.glob("*.jpg"))
    found, samples = search_collages(paths, options.collages), search_samples()
    print("| faces in collages | found | framed within 8% | median distance | largest | others found |")
    print("|---|---|---|---|---|---|")
    print(
        f"| {found['faces']} | {found['found']:.1%} | {found['within 8%']:.1%} | {found['median']:.1%} "
        f"| {found['largest']:.1%} | {found['others']} |\n"
    )
    false = {name: count for name, count in samples.items() if count and name not in PEOPLE}
    missed = sorted(PEOPLE - {name for name, count in samples.items() if count})
    print(
        f"scikit-image's {len(samples)} pictures: nobody's faces {false or 'none'}; missed {missed or 'none'}"
    )
    print()
    rows = gains(paths[-options.faces :])
    print("| reduced by | turned | side | PSNR: srez, Lanczos | SSIM: srez, Lanczos | better in PSNR, SSIM |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        psnr, ssim = "{:.2f}, {:.2f}".format(*row["psnr"]), "{:.3f}, {:.3f}".format(*row["ssim"])
        better = f"{row['psnr better']:.0%}, {row['ssim better']:.0%}"
        print(f"| {row['reduced']} | {row['turned']} | {row['side']} | {psnr} | {ssim} | {better} |")
    if options.json:
        options.json.write_text(json.dumps({"collages": found, "samples": samples, "gains": rows}, indent=1))


if __name__ == "__main__":
    main()
