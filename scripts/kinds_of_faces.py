"""How well generators enlarge faces of several kinds: tables in Markdown.

python3 scripts/kinds_of_faces.py FACES [--checkpoint_dir DIR ...] [--group glasses=163267,164850] > table.md

The last faces of FACES, which a training with --test_vectors of as many holds out: all of them with clean
inputs; with inputs degraded once as --degrade photo does it, always in the same way; then clean ones by how
light the middle of the face is, by how far the head is turned (FACES is a folder then), and those that
--group names by parts of their file names. Each generator is measured with the rounds of back projection
that are asked for and with those of its training, beside bicubic enlargement: mean and 95% interval, as in
--run eval. Consistency is to the input as it is, with its noise. Without --checkpoint_dir: the generator of
the folder checkpoint, or the one that comes along. --drawn FILE.png: what they make of drawn faces of some
kinds, since photographs of CelebA may not be passed on.
"""

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from srez.data.align import find_faces
from srez.data.dataset import open_dataset
from srez.data.degrade import degrade_batch
from srez.data.drawn.canvas import Traits
from srez.data.drawn.faces import draw, generator
from srez.data.portraits import read_face, to_batch
from srez.errors import UserError, as_user_error
from srez.images import layout, picture
from srez.inference.evaluate import Faces, Measure, generators, held_out, interpolation
from srez.inference.network import DEFAULT_ROUNDS, Network, load
from srez.inference.table import with_intervals
from srez.system import files

COLUMNS = {  # title and decimals
    **{"psnr": ("PSNR, dB", 2), "ssim": ("SSIM", 3)},
    **{"lpips": ("LPIPS", 3), "consistency": ("consistency, dB", 2)},
}
OF_KINDS = ("psnr", "lpips")
SEED, POSITION = 0, 2**63  # far from the positions of training
SAME = ("input", "sample_size", "scale_factor")  # options that networks on the same faces share
QUARTERS = ("darkest quarter", "second quarter", "third quarter", "lightest quarter")
LUMA = (0.299, 0.587, 0.114)
TURNED = {"head straight": (0.0, 0.1), "head turned": (0.1, 0.25), "head turned far": (0.25, np.inf)}
DRAWN: dict[str, Callable[[Traits], bool]] = {
    "dark skin": lambda traits: traits.skin.mean() < 80,
    "old": lambda traits: traits.age > 0.8,
    "turned": lambda traits: abs(traits.yaw) > 1.2,
    "glasses": lambda traits: traits.glasses == "frame",
    "sunglasses": lambda traits: traits.glasses == "sun",
    "beard": lambda traits: traits.beard > 0.6,
}

Figures = dict[str, np.ndarray]  # by metric, [N]


def title(network: Network) -> str:
    """What a network is called in tables: its folder, or that of its run."""
    folder = Path(network.path).parent
    return folder.parent.name if folder.name == "checkpoint" and folder.parent.name else folder.name


def degraded(faces: Faces) -> Faces:
    """The same faces with degraded inputs."""
    feature = degrade_batch(faces.label, faces.feature.shape[1], SEED, POSITION)
    return dataclasses.replace(faces, feature=feature)


def quarters_of_brightness(faces: Faces) -> dict[str, np.ndarray]:
    """Faces by the mean luma of the middle half of their labels, mostly skin: indices by QUARTERS."""
    side = faces.label.shape[1]
    middle = slice(side // 4, side - side // 4)
    order = np.argsort((faces.label[:, middle, middle] @ LUMA).mean((1, 2)), kind="stable")
    return dict(zip(QUARTERS, np.array_split(order, len(QUARTERS)), strict=True))


def turned_heads(faces: Faces, folder: Path) -> dict[str, np.ndarray]:
    """Faces by how far the nose lies beside the middle of the eyes, in distances between these: indices.

    Those that the detector does not see are a kind of their own.
    """
    kinds: dict[str, list[int]] = {name: [] for name in (*TURNED, "not seen by the detector")}
    for i, name in enumerate(faces.names):
        seen = find_faces(picture.read((folder / name).read_bytes()).flatten())
        if not seen:
            kinds["not seen by the detector"].append(i)
            continue
        left, right, nose = seen[0].landmarks[:3]
        beside = abs(np.dot(nose - (left + right) / 2, right - left)) / np.sum((right - left) ** 2)
        (kind,) = (name for name, (low, high) in TURNED.items() if low <= beside < high)
        kinds[kind].append(i)
    return {name: np.array(of) for name, of in kinds.items() if of}


def group(word: str) -> tuple[str, list[str]]:
    """A word KIND=NAME,NAME of the command line: the kind, and parts of names."""
    kind, _, parts = word.partition("=")
    if not (kind and all(parts.split(","))):
        raise argparse.ArgumentTypeError(f"'{word}': write KIND=NAME,NAME")
    return kind, parts.split(",")


def named(faces: Faces, parts: list[str]) -> np.ndarray:
    """Indices of the faces whose names contain one of the parts. Raises UserError."""
    found = [[i for i, name in enumerate(faces.names) if part in name] for part in parts]
    if not all(found):
        part = parts[found.index([])]
        raise UserError(
            f"--group: no held-out face has '{part}' in its name", "name files of the held-out faces"
        )
    return np.unique(np.concatenate(found))


def table(metrics: tuple[str, ...], rows: dict[str, list[Figures]], over: list[str]) -> Iterator[str]:
    """A table line by line: for each row the metrics of one set of figures, or of several, titled `over`."""
    titles = [f"{name} {COLUMNS[m][0]}".strip() for name in over for m in metrics]
    yield f"| | {' | '.join(titles)} |"
    yield "|---" * (1 + len(titles)) + "|"
    for name, several in rows.items():
        columns = np.stack([figures[m] for figures in several for m in metrics], axis=1)
        places = [COLUMNS[m][1] for _ in several for m in metrics]
        cells = (
            f"{mean:.{n}f} [{low:.{n}f}, {high:.{n}f}]" if low == low else f"{mean:.{n}f}"
            for (mean, low, high), n in zip(with_intervals(columns), places, strict=True)
        )
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def picture_of_drawn(networks: list[Network], rounds: int) -> np.ndarray:
    """What networks make of the first drawn face of each kind, between input, bicubic and truth: uint8."""
    numbers = (next(n for n in itertools.count(1) if of(Traits(generator(n, 0)))) for of in DRAWN.values())
    config = networks[0].config
    faces = [read_face(layout.png(draw(number)), config, config.sample_size) for number in numbers]
    batch = to_batch(faces, config)
    columns = [("input", batch.feature), ("bicubic", interpolation("bicubic", config)(batch.feature))]
    columns += [(title(n), n.infer(batch.feature, rounds)) for n in networks]
    columns = [(name, layout.to_uint8(column)) for name, column in [*columns, ("truth", batch.label)]]
    return layout.captioned(layout.titled_columns(columns), f"From above: {', '.join(DRAWN)}")


def refuse_others(networks: list[Network]) -> None:
    """Raise UserError where networks are not for the same pictures."""
    first = networks[0]
    for network, name in itertools.product(networks, SAME):
        one, other = (getattr(n.config, name) for n in (first, network))
        if one != other:
            problem = f"{network.path} has --{name}={other}, {first.path} --{name}={one}"
            raise UserError(problem, "measure each by itself")
    if first.config.noise_input:
        raise UserError(f"{first.path} makes faces of noise", "give one trained with --input=scaled")


def tables(networks: list[Network], args: argparse.Namespace) -> Iterator[str]:
    """All tables, line by line."""
    config = dataclasses.replace(networks[0].config, dataset=args.faces, test_vectors=args.count)
    faces = held_out(open_dataset(config), config)
    kinds = quarters_of_brightness(faces) | {name: named(faces, parts) for name, parts in args.group}
    methods = {"bicubic": interpolation("bicubic", config)}
    for network in networks:
        asked = dataclasses.replace(network.config, back_projection=args.back_projection)
        methods |= {f"{title(network)}, {name}": of for name, of in generators(network, asked).items()}
    found = {}
    for heading, which in (("Degraded inputs", degraded(faces)), ("Clean inputs", faces)):
        measure = Measure(which, None)
        found = {name: measure.of_each_face(name, method)[0] for name, method in methods.items()}
        yield f"{heading}: {len(which.names)} {which.where}\n"
        yield from table(tuple(COLUMNS), {name: [of] for name, of in found.items()}, [""])
    if Path(args.faces).is_dir():
        kinds |= turned_heads(faces, Path(args.faces))
    yield "Clean inputs, by kind\n"
    rows = {
        f"{kind} ({len(index)})": [{m: of[m][index] for m in OF_KINDS} for of in found.values()]
        for kind, index in kinds.items()
    }
    yield from table(OF_KINDS, rows, [f"{name}:" for name in found])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("faces", help="dataset: a folder, or a pack")
    parser.add_argument("--checkpoint_dir", nargs="+", default=[None], help="folders, sharp or faithful")
    parser.add_argument("--count", type=int, default=240, help="held-out faces")
    parser.add_argument("--back_projection", type=int, default=DEFAULT_ROUNDS, help="rounds")
    parser.add_argument(
        "--group", type=group, action="append", default=[], metavar="KIND=NAME,NAME", help="faces of a kind"
    )
    parser.add_argument("--drawn", metavar="FILE.png", help="picture of drawn faces to write")
    args = parser.parse_args()
    try:
        networks = [load(folder) for folder in args.checkpoint_dir]
        refuse_others(networks)
        for line in tables(networks, args):
            print(line, flush=True)
        if args.drawn:
            files.write_whole(args.drawn, layout.png(picture_of_drawn(networks, args.back_projection)))
    except (UserError, OSError) as error:
        sys.exit(f"kinds_of_faces.py: {as_user_error(error)}")


if __name__ == "__main__":
    main()
