"""The picture at the top of README: a small face found, enlarged, put back, and beside its true one.

PYTHONPATH=. python3 scripts/astronaut.py      writes docs/astronaut.png

The astronaut Eileen Collins (NASA, public domain), is a test picture of scikit-image ('.[dev]').
"""

import numpy as np
from PIL import Image
from skimage import data

from srez.data.align import find_faces, straighten
from srez.images import arrays, layout
from srez.inference.faces import put_back
from srez.inference.network import load

SIDE = 80  # of the small photograph, pixels


def main() -> None:
    network = load()
    whole = data.astronaut()
    photo = np.asarray(Image.fromarray(whole).resize((SIDE, SIDE), Image.Resampling.BOX))
    (face,) = find_faces(photo)
    enlarged = network.enlarge_face(photo, face)
    lanczos = arrays.lanczos(photo, (network.factor * SIDE, network.factor * SIDE))
    pasted = put_back(photo, [enlarged], network.factor)
    crop = layout.to_uint8(straighten(photo, face, round(face.side)))
    true = straighten(whole, face.within(0, 0, len(whole) / SIDE), 64)
    above = [
        (f"a photograph of {SIDE}x{SIDE} pixels, 4 times larger by Lanczos", lanczos),
        ("the same, its face by srez: --run upscale --face", pasted),
    ]
    below = [
        (f"its face, {len(crop)}x{len(crop)}", crop),
        ("Lanczos", layout.to_uint8(enlarged.plain)),
        ("srez, of the same pixels", layout.to_uint8(enlarged.upright)),
        ("the face in the large photograph", layout.to_uint8(true)),
    ]
    rows = [layout.titled_row(above, 516), layout.titled_row(below)]
    space = np.full((12, rows[0].shape[1], 3), 255, np.uint8)
    Image.fromarray(np.concatenate([rows[0], space, rows[1]])).save("docs/astronaut.png", optimize=True)


if __name__ == "__main__":
    main()
