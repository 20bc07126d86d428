"""Portraits of any size -> the square around the face -> label and feature, as in training."""

import dataclasses

import tensorflow as tf

from srez.data.framing import CELEBA_CROP_CORNER, CELEBA_CROP_SIZE, CELEBA_SIZE, Framing
from srez.data.samples import Batch, area_resize
from srez.errors import UserError
from srez.images.picture import Picture, read
from srez.options.config import Config

PLACE_OPTIONS = ("crop_size", "crop_x", "crop_y")  # where the face lies in a picture


def override_crop(run: Config, config: Config) -> Config:
    """The options `run` of a training, with the crop of the command line `config` where that sets one."""
    crop = {name: getattr(config, name) for name in PLACE_OPTIONS}
    usual = {name: getattr(Config, name) for name in crop}
    return run if crop == usual else dataclasses.replace(run, **crop)


def refuse_other_framing(run: Config) -> None:
    """Raise UserError where the options of a training frame faces otherwise than CelebA's are framed."""
    for name in PLACE_OPTIONS:
        if (value := getattr(run, name)) != getattr(Config, name):
            raise UserError(
                f"the network was trained with --{name}={value}, its faces are not framed as CelebA's are",
                "give pictures framed like those of its training, with --face --aligned",
            )


def face_square(width: int, height: int, config: Config) -> tuple[int, int, int]:
    """(x, y, side) of the square around the face in a portrait. Raises UnusablePicture where it does not fit.

    A crop that was set (crop_size, crop_x, crop_y) holds for every picture. Otherwise CelebA's: its place in
    178x218 pictures, small squares whole, and the same share of the largest centred 178:218 part of others.
    """
    if config.crop_x >= 0 or config.crop_size != Config.crop_size or (width, height) == CELEBA_SIZE:
        return Framing(config.crop_size, 0, config.crop_x, config.crop_y).place(width, height)[:3]
    if width == height <= config.crop_size:
        return 0, 0, width
    scale = min(width / CELEBA_SIZE[0], height / CELEBA_SIZE[1])
    left, top = ((n - scale * m) / 2 for n, m in zip((width, height), CELEBA_SIZE, strict=True))
    x, y = int(left + scale * CELEBA_CROP_CORNER[0]), int(top + scale * CELEBA_CROP_CORNER[1])
    return x, y, int(scale * CELEBA_CROP_SIZE)


def read_face(data: bytes, config: Config, min_side: int) -> Picture:
    """The face of a portrait file's content, at least `min_side` pixels wide, uint8 over white.

    Raises ValueError with the reason.
    """
    picture = read(data)
    height, width = picture.rgb.shape[:2]
    x, y, side = face_square(width, height, config)
    if side < min_side:
        raise ValueError(f"{width}x{height}: the face would be {side} pixels wide, {min_side} are needed")
    face = picture.flatten()[y : y + side, x : x + side]
    notes = [*picture.notes, f"face {side}x{side} at ({x}, {y})"]
    return Picture(face, None, "RGB", picture.profile, notes)


def to_batch(faces: list[Picture], config: Config) -> Batch:
    """Label and feature of faces; a face smaller than the label is averaged down from what there is."""
    labels, features = [], []
    for face in faces:
        crop = tf.cast(face.rgb[None], tf.float32) / 255.0
        large = crop.shape[1] >= config.sample_size
        size = [config.sample_size, config.sample_size]
        label = area_resize(crop, size[0]) if large else tf.image.resize(crop, size, method="bicubic")
        labels.append(label)
        features.append(area_resize(label if large else crop, config.input_size))
    return Batch(tf.concat(labels, 0), tf.concat(features, 0))
