"""Sets of pictures or features: sliced Wasserstein, transport, Frechet, kernel; precision and recall."""

import os
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from srez.errors import UserError, one_line
from srez.options.config import KERAS_CACHE
from srez.system import files

# Karras et al. 2018, "Progressive Growing of GANs", section 5
PATCH, PATCHES, REPEATS, DIRECTIONS, MIN_SIDE = 7, 128, 4, 128, 16
_BLUR_WEIGHTS = np.array([1, 4, 6, 4, 1], np.float32) / 16
_PATCH_SEED, _OTHER_PATCH_SEED, _DIRECTION_SEED = 1, 2, 3

TRANSPORTED = 1000  # pictures of each set at most: the assignment takes seconds then

WEIGHTS_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
# with fewer, figures of sets tell the number of pictures more than their quality: of 50 real faces beside 50
# others the AlexNet Frechet distance is 23, of 240 it is 7, of 2,000 it is 1. Features: 256 and 2,048
MIN_FOR_ALEXNET, MIN_FOR_INCEPTION = 100, 2000
INCEPTION_SIDE, INCEPTION_BATCH = 299, 16
NEIGHBOURS = 5  # Naeem et al. 2020


def sliced_wasserstein_levels(
    reals: np.ndarray, others: np.ndarray, repeats: int = REPEATS
) -> dict[int, float]:
    """Distance times 1000 at every level of a Laplacian pyramid: side -> distance, down to 16 pixels.

    Pictures [N, S, S, 3], of which as many are taken as there are in the smaller set. 128 patches of 7x7 from
    each picture, normalized by channel, then projected onto `repeats` x 128 random directions. Patches and
    directions are the same in every call.
    """
    count = min(len(reals), len(others))
    found = {}
    pairs = zip(laplacian_pyramid(reals[:count]), laplacian_pyramid(others[:count]), strict=True)
    for one, other in pairs:
        descriptors = normalized(patches(one, _PATCH_SEED)), normalized(patches(other, _OTHER_PATCH_SEED))
        found[one.shape[1]] = 1000 * sliced_wasserstein(*descriptors, repeats)
    return found


def laplacian_pyramid(pictures: np.ndarray) -> Iterator[np.ndarray]:
    """What each level of pictures [N, S, S, 3] adds to the next smaller one, largest first; last the rest."""
    while pictures.shape[1] >= 2 * MIN_SIDE:
        smaller = _blur(pictures)[:, ::2, ::2]
        spread = np.zeros_like(pictures)
        spread[:, ::2, ::2] = smaller
        yield pictures - 4 * _blur(spread)
        pictures = smaller
    yield pictures


def _blur(pictures: np.ndarray) -> np.ndarray:
    """Binomial 5x5 blur; borders mirrored without repeating the last pixel."""
    for axis in (1, 2):
        side = pictures.shape[axis]
        padded = np.pad(pictures, [(2, 2) if n == axis else (0, 0) for n in range(4)], mode="reflect")
        shifted = (padded.take(range(i, i + side), axis) for i in range(5))
        pictures = sum(weight * part for weight, part in zip(_BLUR_WEIGHTS, shifted, strict=True))
    return pictures


def patches(pictures: np.ndarray, seed: int) -> np.ndarray:
    """Random patches [N * 128, 7, 7, 3] of pictures [N, S, S, 3]."""
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (PATCH, PATCH), axis=(1, 2))
    random = np.random.default_rng(seed)
    rows, columns = random.integers(0, windows.shape[1], (2, len(pictures), PATCHES))
    chosen = windows[np.arange(len(pictures))[:, None], rows, columns]
    return np.moveaxis(chosen.reshape(-1, *chosen.shape[2:]), 1, -1)


def normalized(descriptors: np.ndarray) -> np.ndarray:
    """Patches [N, 7, 7, 3] with mean 0 and deviation 1 in every channel, as rows [N, 147]."""
    descriptors = descriptors - descriptors.mean(axis=(0, 1, 2))
    descriptors /= np.maximum(descriptors.std(axis=(0, 1, 2)), 1e-12)
    return descriptors.reshape(len(descriptors), -1)


def sliced_wasserstein(one: np.ndarray, other: np.ndarray, repeats: int = REPEATS) -> float:
    """Mean over random directions of the Wasserstein-1 distance of the projections of [N, d] and [N, d]."""
    random = np.random.default_rng(_DIRECTION_SEED)
    found = []
    for _ in range(repeats):
        directions = random.standard_normal((one.shape[1], DIRECTIONS)).astype(one.dtype)
        directions /= np.linalg.norm(directions, axis=0)
        a, b = (np.sort(directions.T @ points.T, axis=1) for points in (one, other))  # fast along rows
        found.append(np.abs(a - b).mean(dtype=np.float64))
    return float(np.mean(found))


def diversity(pictures: np.ndarray, reals: np.ndarray) -> float | None:
    """Mean distance between two of the pictures [N, S, S, 3], N >= 2, over that between two real ones.

    Distances are root mean squares over pixels and channels. 1: as varied as reality; 0: all alike.
    None where the real ones are all alike.
    """
    reality = _mean_distance(reals)
    return _mean_distance(pictures) / reality if reality else None


def _mean_distance(pictures: np.ndarray) -> float:
    between = _distances(pictures, pictures)[np.triu_indices(len(pictures), 1)]
    return float(between.mean() / np.sqrt(pictures[0].size))


def transport(reals: np.ndarray, others: np.ndarray) -> float:
    """Exact Wasserstein-1 distance of two sets of as many pictures [N, S, S, 3]; NaN unless all are finite.

    The mean L2 distance (of pictures as vectors of S * S * 3 values) of the pairs of the cheapest assignment,
    among the first 1,000 of each set. Enlarged faces are of the same people as the real ones, so that the
    mean distance of a face to its own truth bounds it from above; from below, the difference of the means of
    any function with Lipschitz constant 1, such as a critic, over the same pictures.
    """
    costs = _distances(reals[:TRANSPORTED], others[:TRANSPORTED])
    if not np.isfinite(costs).all():
        return float("nan")
    return float(costs[linear_sum_assignment(costs)].mean())


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """L2 distances [N, M] of pictures [N, ...] and [M, ...], float64."""
    a, b = (pictures.reshape(len(pictures), -1).astype(np.float64) for pictures in (one, other))
    middle = a.mean(axis=0)  # the same distances, fewer digits lost
    a, b = a - middle, b - middle
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)
    return np.sqrt(np.maximum(squares - 2 * a @ b.T, 0))


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Frechet distance of the Gaussians that fit features [N, d] and [M, d] (Heusel et al. 2017).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).
    """
    means = [points.mean(axis=0) for points in (one, other)]
    centred = [
        (points - mean) / np.sqrt(len(points) - 1) for points, mean in zip((one, other), means, strict=True)
    ]
    # C = R' R with R of a QR factorization; tr (C1 C2)^(1/2) is the sum of the singular values of R1 R2'
    roots = [np.linalg.qr(points, mode="r") for points in centred]
    crossed = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(np.square(points).sum() for points in centred)
    return float(np.square(means[0] - means[1]).sum() + spread - 2 * crossed)


def kernel_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of features [N, d] and [M, d] (Binkowski et al. 2018).

    Kernel (x.y / d + 1)^3; may be slightly negative where the sets are alike.
    """
    kernels = [_kernel(points, points) for points in (one, other)]
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in kernels]
    return float(sum(within) - 2 * _kernel(one, other).mean())


def _kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one @ other.T / one.shape[1] + 1) ** 3


def neighbourhoods(reals: np.ndarray, others: np.ndarray, nearest: int = NEIGHBOURS) -> dict[str, float]:
    """Precision, recall, density, coverage of other features [M, d] beside real ones [N, d]; N, M > nearest.

    A point's neighbourhood is the ball up to its `nearest`-th nearest neighbour in its own set. Precision:
    the share of the others that lie in a real one's; recall: of the real ones that lie in an other's
    (Kynkaanniemi et al. 2019). Density: how many real ones' an other lies in, over `nearest`, may exceed 1;
    coverage: the share of the real ones' that hold an other (Naeem et al. 2020).
    """
    # in a row of distances within a set the first is that of the point to itself
    radii, other_radii = (np.partition(cdist(x, x), nearest, axis=1)[:, nearest] for x in (reals, others))
    between = cdist(reals, others)
    inside = between < radii[:, None]
    return {
        "precision": float(inside.any(axis=0).mean()),
        "recall": float((between < other_radii).any(axis=1).mean()),
        "density": float(inside.sum(axis=0).mean() / nearest),
        "coverage": float(inside.any(axis=1).mean()),
    }


MISSING_WEIGHTS_MESSAGE = (
    f"no FID and KID: Keras' InceptionV3 weights ({WEIGHTS_FILE}) are neither in Keras' cache nor named by "
    '--inception_weights; python3 -c "import keras; keras.applications.InceptionV3(include_top=False)" '
    "fetches them"
)


def inception(weights: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function from pictures [N, h, w, 3] in [0, 1] to features [N, 2048]; None where weights are missing.

    Raises UserError where a file that was named cannot be used.
    """
    if weights == KERAS_CACHE:
        home = os.environ.get("KERAS_HOME", os.path.join(os.path.expanduser("~"), ".keras"))
        weights = os.path.join(home, "models", WEIGHTS_FILE)
        if not os.path.exists(weights):  # not there for this user: also where it may not be seen
            return None
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    try:
        with files.local_copy(weights) as local:
            network.load_weights(local)
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise UserError(
            f"--inception_weights={weights}: not the weights of Keras' InceptionV3 without its top "
            f"({one_line(error)})",
            "name that file, or leave the option out",
        ) from None
    infer = tf.function(
        lambda x: network(2 * tf.image.resize(x, [INCEPTION_SIDE, INCEPTION_SIDE]) - 1, training=False)
    )

    def features(pictures: np.ndarray) -> np.ndarray:
        parts = [
            infer(pictures[i : i + INCEPTION_BATCH]).numpy() for i in range(0, len(pictures), INCEPTION_BATCH)
        ]
        return np.concatenate(parts).astype(np.float64)

    return features
