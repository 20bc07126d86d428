"""How well generators enlarge clean faces, and faces as photographs give them: tables in Markdown.

python3 scripts/degraded_faces.py FACES [--checkpoint_dir DIR ...] [--count 240] > table.md

The last faces of FACES, which a training with --test_vectors of as many holds out, are degraded once as
--degrade photo does it, always in the same way. Each generator is measured with the rounds of back projection
that are asked for and with those of its training, beside bicubic enlargement: mean and 95% interval, as in
--run eval. Consistency is to the input as it is, with its noise. Without --checkpoint_dir: the generator of
the folder checkpoint, or the one that comes along.
"""

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from srez.data.dataset import open_dataset
from srez.data.degrade import degrade_batch
from srez.errors import UserError, as_user_error
from srez.inference.evaluate import Faces, Measure, Method, generators, held_out, interpolation
from srez.inference.network import DEFAULT_ROUNDS, Network, load
from srez.inference.table import with_intervals
from srez.metrics.pictures import EVAL_METRICS

COLUMNS = {  # title and decimals
    **{"psnr": ("PSNR, dB", 2), "ssim": ("SSIM", 3)},
    **{"lpips": ("LPIPS", 3), "consistency": ("consistency, dB", 2)},
}
SEED, POSITION = 0, 2**63  # far from the positions of training
SAME = ("input", "sample_size", "scale_factor")  # options that networks on the same faces share


def degraded(faces: Faces) -> Faces:
    """The same faces with degraded inputs."""
    feature = degrade_batch(faces.label, faces.feature.shape[1], SEED, POSITION)
    return dataclasses.replace(faces, feature=feature)


def rows(faces: Faces, methods: dict[str, Method]) -> Iterator[str]:
    """A table of methods on faces, line by line."""
    yield f"| | {' | '.join(title for title, _ in COLUMNS.values())} |"
    yield "|---" * (1 + len(COLUMNS)) + "|"
    for name, method in methods.items():
        values = []
        for batch in Measure(faces, None).batches(name):
            output = tf.clip_by_value(method(batch.feature), 0.0, 1.0)
            values.append([EVAL_METRICS[m](output, batch.label, batch.feature) for m in COLUMNS])
        figures = with_intervals(np.concatenate(values, axis=1).T.astype(np.float64))
        cells = (
            f"{mean:.{places}f} [{low:.{places}f}, {high:.{places}f}]"
            for (mean, low, high), (_, places) in zip(figures, COLUMNS.values(), strict=True)
        )
        yield f"| {name} | {' | '.join(cells)} |"


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("faces", help="dataset: a folder, or a pack")
    parser.add_argument("--checkpoint_dir", nargs="+", default=[None])
    parser.add_argument("--count", type=int, default=240, help="held-out faces")
    parser.add_argument("--back_projection", type=int, default=DEFAULT_ROUNDS, help="rounds")
    args = parser.parse_args()
    try:
        networks = [load(folder) for folder in args.checkpoint_dir]
        refuse_others(networks)
        config = dataclasses.replace(networks[0].config, dataset=args.faces, test_vectors=args.count)
        faces = held_out(open_dataset(config), config)
        methods = {"bicubic": interpolation("bicubic", config)}
        for network in networks:
            asked = dataclasses.replace(network.config, back_projection=args.back_projection)
            methods |= {f"{network.path}, {name}": of for name, of in generators(network, asked).items()}
        for title, which in (("Clean inputs", faces), ("Degraded inputs", degraded(faces))):
            print(f"{title}: {len(which.names)} {which.where}\n", flush=True)
            for line in rows(which, methods):
                print(line, flush=True)
            print()
    except (UserError, OSError) as error:
        sys.exit(f"degraded_faces.py: {as_user_error(error)}")


if __name__ == "__main__":
    main()
