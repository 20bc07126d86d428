"""Faces of any photograph: found, brought upright into the frame that CelebA has its faces in, put back."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from srez.data.framing import CELEBA_CROP_CORNER, CELEBA_CROP_SIZE, CELEBA_SIZE
from srez.images import arrays, layout

# Where the detector sees eyes, nose and corners of the mouth in CelebA's 178x218 pictures, mean of 424.
# CelebA's own are within 3 pixels; with those the faces come out a fifth farther from where they lie.
CELEBA_LANDMARKS = np.array([(68.5, 110.8), (107.8, 110.8), (87.5, 135.3), (70.4, 152.3), (105.6, 152.3)])


class Part(NamedTuple):
    """A rectangle of CelebA's 178x218 frame, pixels."""

    x: float
    y: float
    width: float
    height: float


SQUARE = Part(*CELEBA_CROP_CORNER, CELEBA_CROP_SIZE, CELEBA_CROP_SIZE)  # of which a sample is made
WHOLE = Part(0, 0, *CELEBA_SIZE)
SEARCH_SIDE = 2048  # longest side at which a picture is searched, pixels
SMALLEST_SEEN = 1 / 128  # side of the smallest square that is found / longest side of a larger picture
SMALLEST_SEARCHED = 20  # height of the smallest face that the detector is asked for, pixels
BOX_SHARE = 0.7  # height of the detector's box / side of the square, at least
MIN_FACE = 16  # side of the smallest face's square, where nobody says otherwise, pixels
SOFT_EDGE = 0.15  # share of a face's side over which it fades into its picture
LIKELY, SURE = 0.6, 0.85  # confidence of the detector at the first look, and at the second one
MARGIN = 4  # pixels around the part of a picture in which a face is, for bicubic sampling
SAME = 25  # how far the landmarks of a second look may lie from where they are expected, of 178 pixels


@dataclass(frozen=True, eq=False)
class Face:
    """A face found in a picture, in the picture's pixels.

    box: x, y, width, height. landmarks: [5, 2], x and y of the left and the right eye as one sees them, the
    nose, the left and the right corner of the mouth. confidence: the detector's, at most 1.
    """

    box: tuple[int, int, int, int]
    landmarks: np.ndarray
    confidence: float

    @property
    def frame(self) -> tuple[complex, complex]:
        """(a, b): the point z = x + iy of CelebA's frame lies at a * z + b in the picture.

        The similarity (turn, scale, shift) whose sum of squared distances over the five landmarks is least.
        """
        mean, here = (points @ (1, 1j) for points in (CELEBA_LANDMARKS, self.landmarks))
        centred = mean - mean.mean()
        a = np.vdot(centred, here) / np.vdot(centred, centred).real
        return complex(a), complex(here.mean() - a * mean.mean())

    @property
    def side(self) -> float:
        """Side of the square that CelebA's crop makes of the face, in the picture's pixels."""
        return CELEBA_CROP_SIZE * abs(self.frame[0])

    @property
    def middle(self) -> tuple[float, float]:
        """x and y of the middle of that square."""
        a, b = self.frame
        point = a * complex(SQUARE.x + SQUARE.width / 2, SQUARE.y + SQUARE.height / 2) + b
        return point.real, point.imag

    def within(self, x: float, y: float, scale: float) -> "Face":
        """The face in the part of its picture that begins at (x, y), enlarged by `scale`."""
        left, top, width, height = self.box
        box = tuple(round(scale * n) for n in (left - x, top - y, width, height))
        return Face(box, scale * (self.landmarks - (x, y)), self.confidence)


@functools.cache
def _detector():
    """The face detector, made once: loading it takes a quarter of a second."""
    from mtcnn import MTCNN  # late: most commands look for no face

    return MTCNN()


def find_faces(picture: np.ndarray, min_side: float = MIN_FACE) -> list[Face]:
    """The faces of a picture, uint8 [h, w, 3], whose square is `min_side` pixels or more; largest first.

    Found with MTCNN (Zhang et al. 2016) in the picture brought to at most SEARCH_SIDE pixels a side, so that
    the smallest faces of a larger one are passed over. Each is looked at once more, upright: what is no face
    is told apart better so, and the landmarks of a turned head are truer.
    """
    looks = (_look_again(picture, face) for face in _detect(picture, min_side, LIKELY))
    faces = [face for face in looks if face and face.side >= min_side]
    return sorted(faces, key=lambda face: -face.side)


def _look_again(picture: np.ndarray, face: Face) -> Face | None:
    """A face with the landmarks that it has upright; None where none is seen there."""
    upright = layout.to_uint8(straighten(picture, face, CELEBA_SIZE[0], WHOLE))
    found = _detect(upright, CELEBA_CROP_SIZE / 2, SURE)
    away = [float(np.abs(one.landmarks - CELEBA_LANDMARKS).mean()) for one in found]
    if not found or min(away) > SAME:
        return None
    again = found[int(np.argmin(away))]
    a, b = face.frame
    points = a * (again.landmarks @ (1, 1j)) + b
    return Face(face.box, np.stack([points.real, points.imag], axis=1), again.confidence)


def _detect(picture: np.ndarray, min_side: float, confidence: float) -> list[Face]:
    """What the detector takes for faces in a picture, brought to a size in which it sees the smallest."""
    height, width = picture.shape[:2]
    scale = min(SMALLEST_SEARCHED / (BOX_SHARE * min_side), SEARCH_SIDE / max(height, width))
    size = [max(1, round(scale * n)) for n in (width, height)]
    reduced = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))
    rows = _detector().detect_faces(
        reduced,
        min_face_size=SMALLEST_SEARCHED,
        threshold_onet=confidence,
        box_format="xyxy",
        output_type="numpy",
        fit_to_image=False,
    )
    x_scale, y_scale = width / size[0], height / size[1]
    faces = []
    for _, left, top, right, bottom, sure, *points in rows.tolist():
        landmarks = np.array(points).reshape(2, 5).T * (x_scale, y_scale)
        box = left * x_scale, top * y_scale, (right - left) * x_scale, (bottom - top) * y_scale
        faces.append(Face(tuple(map(round, box)), landmarks, sure))
    return faces


def sample(picture: np.ndarray, a: complex, b: complex, size: tuple[int, int]) -> np.ndarray:
    """A picture whose point z = x + iy shows the point a * z + b of another: float32 [height, width, c].

    picture: [h, w, c]. size: width, height. Bicubic; coordinates are continuous: the middle of the first
    pixel is 0.5, 0.5. Beyond the other picture 0.
    """
    rows = (a.real, -a.imag, b.real, a.imag, a.real, b.imag)
    channels = [  # as floats, since Pillow rounds bytes down here
        Image.fromarray(channel).transform(size, Image.Transform.AFFINE, rows, Image.Resampling.BICUBIC)
        for channel in np.moveaxis(picture.astype(np.float32), -1, 0)
    ]
    return np.stack(list(map(np.asarray, channels)), axis=-1)


def straighten(picture: np.ndarray, face: Face, side: int, part: Part = SQUARE) -> np.ndarray:
    """A part of CelebA's frame filled with a picture's face, upright: float32 [h, side, 3] in [0, 1].

    picture: [h, w, 3], whole numbers or floats in [0, 1]. Beyond it its border is continued; where it is the
    finer, it is averaged down.
    """
    a, b = face.frame
    height = round(side * part.height / part.width)
    step = a * part.width / side  # of the result, in the picture's pixels
    start = a * (part.x + 1j * part.y) + b
    near, left, top = _around(picture, [start + step * (x + 1j * y) for x in (0, side) for y in (0, height)])
    # of a much finer picture whole pixels are averaged first: that needs less memory than a sample of each
    coarse = max(1, int(abs(step) / 4))
    rows, columns = (n - n % coarse for n in near.shape[:2])
    blocks = near[:rows, :columns].reshape(rows // coarse, coarse, columns // coarse, coarse, 3)
    reduced = blocks.mean((1, 3), dtype=np.float32) / arrays.peak(picture.dtype)
    step, start = step / coarse, (start - (left + 1j * top)) / coarse
    fine = math.ceil(abs(step) - 1e-9)
    samples = sample(reduced, step / fine, start, (fine * side, fine * height)).clip(0, 1)
    return samples.reshape(height, fine, side, fine, 3).mean((1, 3))


def turn_back(upright: np.ndarray, face: Face, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An upright square [n, n, 3] as the face in a picture of a size (height, width), and its share there.

    Float32 [height, width, 3] and [height, width, 1]; the share is 1 in the middle of the face and falls to 0
    at the edge of its square.
    """
    side = len(upright)
    a, b = face.frame
    a, b = a * SQUARE.width / side, a * (SQUARE.x + 1j * SQUARE.y) + b  # upright pixels -> the picture's
    distance = np.minimum(np.arange(side), np.arange(side)[::-1]) / (SOFT_EDGE * side)
    line = np.clip(distance, 0, 1)
    line = line * line * (3 - 2 * line)
    share = (line[:, None] * line)[..., None]
    turned = [sample(one, 1 / a, -b / a, size[::-1]) for one in (upright, share)]
    return turned[0].clip(0, 1), turned[1].clip(0, 1)


def surroundings(picture: np.ndarray, face: Face) -> tuple[np.ndarray, int, int]:
    """The part of a picture around a face's square, float32 in [0, 1], and the x and y of its corner.

    Beyond the picture its border is continued.
    """
    a, b = face.frame
    x, y = SQUARE.x + np.array([0, 1, 0, 1]) * SQUARE.width, SQUARE.y + np.array([0, 0, 1, 1]) * SQUARE.height
    near, left, top = _around(picture, a * (x + 1j * y) + b)
    return arrays.to_float(near), left, top


def _around(picture: np.ndarray, points: Sequence[complex]) -> tuple[np.ndarray, int, int]:
    x, y = np.array(points).real, np.array(points).imag
    left, top = math.floor(x.min()) - MARGIN, math.floor(y.min()) - MARGIN
    rows = np.arange(top, math.ceil(y.max()) + MARGIN).clip(0, picture.shape[0] - 1)
    columns = np.arange(left, math.ceil(x.max()) + MARGIN).clip(0, picture.shape[1] - 1)
    return picture[rows[:, None], columns], left, top
