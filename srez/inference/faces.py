"""Faces of the user's photographs: found, made anew by the network, put back into their picture."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import tensorflow as tf
from PIL import Image

from srez.data.align import SMALLEST_SEEN, Face, find_faces, straighten
from srez.data.portraits import override_crop, read_face, refuse_other_framing, to_batch
from srez.images import arrays, layout
from srez.images.picture import ENDINGS, LARGEST_WHOLE, Picture, read
from srez.inference.network import EnlargedFace, Network
from srez.inference.tasks import Outcome, Task, plural, read_picture, write_file, write_picture
from srez.options.config import Config

ALIGNED_AT_ONCE = 64  # faces that go through the network together
Column = tuple[str, np.ndarray]  # of a strip: title and picture
MAX_PASTED = 200_000_000  # pixels of the largest picture into which faces are put back


def enlarge_faces(tasks: Sequence[Task], config: Config, network: Network, outcome: Outcome) -> None:
    """Find the faces of photographs and enlarge those that gain by it; with --redraw all."""
    refuse_other_framing(network.config)
    for task in tasks:
        if not read_picture(task, partial(read, max_pixels=LARGEST_WHOLE), outcome):
            continue
        try:
            _enlarge_faces_of(task, config, network, outcome)
        except (MemoryError, tf.errors.ResourceExhaustedError):
            outcome.skip(task.path, "no memory for it; --paste=off needs less")
        task.picture = None


def _enlarge_faces_of(task: Task, config: Config, network: Network, outcome: Outcome) -> None:
    pixels = task.picture.flatten()
    found = find_faces(pixels, config.min_face)[: 1 if config.only_largest else None]
    if not found:
        smallest = max(config.min_face, math.ceil(max(pixels.shape) * SMALLEST_SEEN))
        raised = config.min_face == smallest > Config.min_face
        remedy = "--aligned, if it is framed as CelebA's are"
        if raised:
            remedy = "a lower --min_face for smaller ones"
        outcome.skip(task.path, f"no face of {smallest} pixels or more found ({remedy})")
        return
    faces = [face for face in found if config.redraw or face.side <= network.largest_gain]
    if large := [face for face in found if face not in faces]:
        outcome.screen.say(f"{task.path}: {nothing_to_gain(large)}")
    if faces:
        _write_all(task, pixels, faces, config, network, outcome)
    else:
        outcome.left += 1
    outcome.screen.step()


def nothing_to_gain(faces: Sequence[Face]) -> str:
    """Why faces are left alone."""
    sides = ", ".join(f"{face.side:.0f}" for face in faces)
    return (
        f"{plural(len(faces), 'face')} already {sides} pixels wide: nothing to gain; --redraw shows what the "
        "network would make of sixteen pixels"
    )


def _write_all(
    task: Task, pixels: np.ndarray, faces: list[Face], config: Config, network: Network, outcome: Outcome
) -> None:
    """Write the picture with its faces put back, and the faces: the first one last, since it says "done"."""
    notes = list(task.picture.notes)
    if config.redraw:
        made = [(network.redraw_face(pixels, face, config.back_projection), None) for face in faces]
    else:
        enlarged = [network.enlarge_face(pixels, face, config.back_projection) for face in faces]
        made = [(one.upright, one.plain) for one in enlarged]
        if pastes(config, faces, pixels.shape[:2]):
            _write_pasted(task, enlarged, config, network.factor, outcome)
    for number, (face, (one, plain)) in reversed(list(enumerate(zip(faces, made, strict=True), 1))):
        x, y = face.middle
        said = "; ".join([f"from {face.side:.0f} pixels around ({x:.0f}, {y:.0f})", *notes])
        strip = []
        if config.compare:
            crop = layout.to_uint8(straighten(pixels, face, round(face.side)))
            strip = columns_of(network, pixels, face, crop, one, plain)
        _write_face(task, number, layout.to_uint8(one), strip, config, outcome, said)


def enlarge_aligned(tasks: Sequence[Task], config: Config, network: Network, outcome: Outcome) -> None:
    """Cut out the face where training has it, average it down and enlarge that."""
    run = override_crop(network.config, config)
    cut_out = partial(read_face, config=run, min_side=run.input_size)
    for i in range(0, len(tasks), ALIGNED_AT_ONCE):
        group = [task for task in tasks[i : i + ALIGNED_AT_ONCE] if read_picture(task, cut_out, outcome)]
        if not group:
            continue
        batch = to_batch([task.picture for task in group], run)
        drawn = layout.to_uint8(network.upscale(batch.feature.numpy(), config.back_projection))
        seen, true = layout.to_uint8(batch.feature), layout.to_uint8(batch.label)
        for n, task in enumerate(group):
            strip = redrawn_columns(seen[n], drawn[n], true[n]) if config.compare else []
            _write_face(task, 1, drawn[n], strip, config, outcome, "; ".join(task.picture.notes))
            task.picture = None
            outcome.screen.step()


def columns_of(
    network: Network,
    pixels: np.ndarray,
    face: Face,
    crop: np.ndarray,
    made: np.ndarray,
    plain: np.ndarray | None,
) -> list[Column]:
    """The strip of a face of a picture, uint8 [h, w, 3], and of what was made of it, [S, S, 3] in [0, 1].

    crop: the face as it is there, uint8 [s, s, 3]. plain: by Lanczos, [S, S, 3] in [0, 1]; None where
    the network made it of its average of few pixels alone.
    """
    if plain is not None:
        return enlarged_columns(crop, layout.to_uint8(plain), layout.to_uint8(made))
    seen = straighten(pixels, face, network.config.input_size)
    return redrawn_columns(layout.to_uint8(seen), layout.to_uint8(made), crop)


def redrawn_columns(seen: np.ndarray, drawn: np.ndarray, true: np.ndarray) -> list[Column]:
    """A strip that tests the network on a face that is known; squares, uint8 [n, n, 3]."""
    size = f"{len(seen)}x{len(seen)}"
    return [
        (f"the network sees {size}", seen),
        (f"bicubic, from {size}", bicubic(seen, len(drawn))),
        (f"srez, from {size}", drawn),
        (f"the photograph, {len(true)}x{len(true)}", true),
    ]


def bicubic(picture: np.ndarray, side: int) -> np.ndarray:
    """A square uint8 picture [n, n, 3] brought to another side: [side, side, 3]."""
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))


def enlarged_columns(crop: np.ndarray, plain: np.ndarray, made: np.ndarray) -> list[Column]:
    """A strip that shows what a small face gains over Lanczos; squares, uint8 [n, n, 3]."""
    size = f"{len(made)}x{len(made)}"
    titles = f"the photograph, {len(crop)}x{len(crop)}", f"Lanczos, {size}", f"srez, {size}"
    return list(zip(titles, (crop, plain, made), strict=True))


def pastes(config: Config, faces: Sequence[Face], size: tuple[int, int]) -> bool:
    """Whether faces are put back into their picture (height, width): where it is more than these."""
    if config.paste == "auto":
        return not config.redraw and size[0] * size[1] > 2 * sum(face.side**2 for face in faces)
    return config.paste == "on"


def _write_pasted(
    task: Task, faces: list[EnlargedFace], config: Config, factor: int, outcome: Outcome
) -> None:
    picture = task.picture
    height, width = (factor * n for n in picture.rgb.shape[:2])
    if height * width > MAX_PASTED:
        outcome.screen.say(
            f"{task.path}: faces not put back, {width}x{height} is over {MAX_PASTED // 10**6} million pixels"
        )
        return
    path = f"{task.stem}_faces_x{factor}{ENDINGS[config.format]}"
    try:
        data = picture.encode(put_back(picture.rgb, faces, factor), config.format)
    except ValueError as error:  # the faces alone can be written
        outcome.screen.say(f"{task.path}: faces not put back, {error}")
        return
    if write_file(task, path, data, outcome):
        notes = "; ".join([f"with {plural(len(faces), 'face')}", *picture.notes])
        outcome.screen.say(f"{task.path} -> {path} {width}x{height} ({notes})")
        outcome.pasted += 1


def put_back(picture: np.ndarray, faces: Sequence[EnlargedFace], factor: int) -> np.ndarray:
    """A picture [h, w, 3] enlarged `factor` times with Lanczos, its faces in their places; same dtype.

    Each fades out at the edge of its square; beyond these the pixels are those of Lanczos.
    """
    height, width = (factor * n for n in picture.shape[:2])
    whole = arrays.lanczos(picture, (height, width)).copy()
    for face in faces:
        top, left = max(0, -factor * face.y), max(0, -factor * face.x)  # what lies beyond the picture
        place = whole[max(0, factor * face.y) :, max(0, factor * face.x) :]
        place = place[: len(face.part) - top, : face.part.shape[1] - left]
        size = place.shape[:2]
        part, share = (one[top : top + size[0], left : left + size[1]] for one in (face.part, face.share))
        mixed = arrays.from_float(share * part + (1 - share) * arrays.to_float(place), picture.dtype)
        place[:] = np.where(share > 0, mixed, place)
    return whole


def _write_face(
    task: Task,
    number: int,
    face: np.ndarray,
    strip: list[Column],
    config: Config,
    outcome: Outcome,
    said: str,
) -> None:
    stem = f"{task.stem}_{'redrawn' if config.redraw else 'face'}{number}"
    if strip:
        columns, path = layout.titled_row(strip), f"{stem}_compare.png"
        if not write_file(task, path, layout.png(columns), outcome):
            return
        outcome.screen.say(f"{task.path} -> {path} {columns.shape[1]}x{columns.shape[0]}")
    mode = "L" if task.picture.is_grey else "RGB"
    picture = Picture(face, None, mode, task.picture.profile, [])
    path = stem + ENDINGS[config.format]
    outcome.faces += write_picture(task, path, picture, face, config.format, outcome, said)
