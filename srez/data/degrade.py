"""Labels -> inputs as photographs give them: blurred, noisy, JPEG-coded, reduced by any program's kernel.

These are the steps of the degradation models of blind super-resolution, BSRGAN (Zhang et al. 2021) and
Real-ESRGAN (Wang et al. 2021), with the latter's largest amounts. Its order is blur, reduction, noise, JPEG;
here the reduction comes last: a photograph in which the face is as large as the label was coded before it is
made smaller. Amounts begin at zero, small ones of blur and noise are more frequent (squares of uniform
numbers), so that a share of the inputs is nearly clean.
"""

from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image, ImageFilter

from srez.data.dataset import BLOCK_OF_AMOUNTS, BLOCK_OF_NORMALS, uniforms
from srez.images.layout import jpeg

MOST_BLUR = 3.0  # standard deviation, pixels of the label
MOST_NOISE = 30 / 255  # standard deviation
QUALITIES = range(30, 96)
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
KERNELS = tuple(Image.Resampling[name] for name in ("BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS"))


class Degradation(NamedTuple):
    """What happens to one photograph.

    blur: standard deviation, pixels; noise: standard deviation, of values 0..1; quality: of the JPEG, whose
    chroma is stored as `subsampling` says; kernel: of the reduction.
    """

    blur: float
    noise: float
    quality: int
    subsampling: str
    kernel: Image.Resampling


def degrade_batch(labels: np.ndarray, size: int, seed: int, position: int) -> np.ndarray:
    """Degraded inputs, float32 [B, size, size, 3] in [0, 1], of labels [B, S, S, 3] in [0, 1].

    They are the samples from `position` on: how each is degraded is a pure function of (seed, its position).
    """
    pixels = to_levels(255 * labels)
    inputs = np.empty((len(labels), size, size, 3), np.uint8)
    for i, degradation in enumerate(degradations(seed, position, len(labels))):
        normals = normals_at(seed, position + i, pixels[i].shape)
        inputs[i] = degrade(pixels[i], degradation, normals, size)
    return inputs / np.float32(255)


def degrade(picture: np.ndarray, degradation: Degradation, normals: np.ndarray, size: int) -> np.ndarray:
    """A picture, uint8 [S, S, 3], degraded and reduced to uint8 [size, size, 3].

    normals [S, S, 3]: the noise, for a standard deviation of 1.
    """
    blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(degradation.blur))
    noisy = to_levels(np.asarray(blurred) + np.float32(255 * degradation.noise) * normals)
    # simplejpeg decodes in several threads at once, Pillow has a lock; but simplejpeg's encoder changes
    # contrast, by 3% at quality 95
    coded = simplejpeg.decode_jpeg(jpeg(noisy, degradation.quality, degradation.subsampling))
    return np.asarray(Image.fromarray(coded).resize((size, size), degradation.kernel))


def degradations(seed: int, position: int, count: int) -> list[Degradation]:
    """The degradations of `count` samples from `position` on."""
    return [
        Degradation(
            MOST_BLUR * blur**2,
            MOST_NOISE * noise**2,
            QUALITIES[int(quality * len(QUALITIES))],
            SUBSAMPLINGS[int(subsampling * len(SUBSAMPLINGS))],
            KERNELS[int(kernel * len(KERNELS))],
        )
        for blur, noise, quality, subsampling, kernel in uniforms(
            seed, position, count, len(Degradation._fields), block=BLOCK_OF_AMOUNTS
        ).tolist()
    ]


def normals_at(seed: int, position: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers, float32 [*shape], of the sample at a position.

    How many steps of Philox they take varies, so the position is above all that one sample can take.
    """
    bits = np.random.Philox(key=np.array([seed, BLOCK_OF_NORMALS], np.uint64), counter=position << 64)
    return np.random.Generator(bits).standard_normal(shape, np.float32)


def to_levels(values: np.ndarray) -> np.ndarray:
    """Values of about 0..255 as the nearest levels, uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
