"""Upscaling: any picture, any size, whole or in tiles, and what is said of those that cannot be."""

import dataclasses
import errno
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT, jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from srez.data import portraits
from srez.errors import UserError
from srez.images import find
from srez.images import picture as pictures
from srez.images.picture import Picture, UnusablePicture, decode, read
from srez.inference import upscale as upscaling
from srez.inference.network import Network, load, reach, spans
from srez.inference.tasks import plan
from srez.networks.build import back_project, build_generator
from srez.networks.layers import UpscaleConv
from srez.networks.weights import restore
from srez.options.config import Config
from srez.options.rules import check
from srez.system import files
from srez.system.screen import Screen


def as_file(picture: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def enlarged(rgb: np.ndarray) -> np.ndarray:
    """What a network would do, with values that are known."""
    return rgb.repeat(4, axis=0).repeat(4, axis=1)


def through(data: bytes, format: str = "png") -> tuple[Image.Image, list[str]]:
    """A picture file read, enlarged by pixel repetition and written again; notes."""
    picture = read(data)
    return Image.open(io.BytesIO(picture.encode(enlarged(picture.rgb), format))), picture.notes


@pytest.fixture(scope="module")
def network(trained) -> Network:
    return load(trained)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(1).random((1, 37, 53, 3), np.float32)


# ---- tiles -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("architect", ["resnet", "deconv"])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_reach_is_what_the_gradient_shows(architect, factor):
    model = build_generator(Config(width=0.03125, gen_architect=architect, scale_factor=factor))
    for variable in model.trainable_variables:  # nothing may cancel
        if variable.name == "kernel":
            variable.assign(np.full(variable.shape, 0.5 / np.prod(variable.shape[:3])))
    x = tf.constant(np.random.default_rng(0).random((1, 25, 25, 3)), tf.float32)
    found = 0
    for offset in range(factor):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x)[0, 12 * factor + offset, 12 * factor + factor - 1 - offset]
        touched = np.argwhere(np.abs(tape.gradient(y, x)[0]).sum(-1) > 0)
        found = max(found, np.abs(touched - 12).max())
    assert reach(model) == found


@pytest.mark.parametrize(("length", "tile", "margin"), [(1, 16, 5), (16, 16, 5), (17, 16, 5), (100, 16, 40)])
def test_spans_cover_an_axis_once(length, tile, margin):
    found = spans(length, tile, margin)
    assert [n for s in found for n in range(s.start, s.stop)] == list(range(length))
    for s in found:
        assert s.stop - s.start <= tile
        assert s.first == max(0, s.start - margin)
        assert s.last == min(length, s.stop + margin)


@pytest.fixture(scope="module")
def far_sighted(tmp_path_factory) -> list[Network]:
    """Networks that look as far as they can, one to each side: one corner of every kernel counts."""
    config = Config(width=0.03125, gen_norm=0)
    networks = []
    for side in (0, -1):
        model = build_generator(config)
        for layer in model.layers:
            if hasattr(layer, "kernel"):
                value = np.zeros(layer.kernel.shape)
                corner = -1 - side if isinstance(layer, UpscaleConv) else side  # turned round there
                last = layer.kernel.shape[-1] == 3
                value[corner, corner] = (np.array([0.2, -0.1, 0.1]) if last else 1.0) / value.shape[2]
                layer.kernel.assign(value)
        path = str(tmp_path_factory.mktemp("far") / "far.weights.h5")
        model.save_weights(path)
        networks.append(Network(config, path))
    return networks


def difference_of_tiles(networks: list[Network], noise: np.ndarray, rounds: int) -> float:
    return max(
        np.abs(n.upscale(noise, rounds, tile=16) - n.upscale(noise, rounds, tile=64)).max() for n in networks
    )


def test_tiles_equal_the_whole(far_sighted, noise, monkeypatch):
    assert difference_of_tiles(far_sighted, noise, 0) < 2e-6
    # and only with the whole margin
    for network in far_sighted:
        monkeypatch.setattr(network, "reach", network.reach - 1)
    assert difference_of_tiles(far_sighted, noise, 0) > 1e-4


def test_tiles_equal_the_whole_with_back_projection(far_sighted, noise, monkeypatch):
    assert difference_of_tiles(far_sighted, noise, 2) < 2e-6
    for network in far_sighted:
        monkeypatch.setattr(network, "margin", lambda rounds, reach=network.reach: reach)
    assert difference_of_tiles(far_sighted, noise, 2) > 1e-4


def test_tiles_equal_the_whole_for_a_usual_network(network, noise):
    whole = network.upscale(noise, 2, tile=64)
    np.testing.assert_allclose(network.upscale(noise, 2, tile=16), whole, atol=2e-6)


# ---- the network -----------------------------------------------------------------------------------


def test_back_projection_is_the_models_own(network, noise):
    plain = network.infer(noise, 0)
    expected = np.clip(back_project(plain, tf.constant(noise), 2, 4), 0, 1)
    np.testing.assert_allclose(network.upscale(noise, 2), expected, atol=1e-6)
    error = [
        np.abs(network.infer(noise, n).numpy().reshape(37, 4, 53, 4, 3).mean((1, 3)) - noise[0]).mean()
        for n in (0, 2, 8)
    ]
    assert error[0] > 3 * error[1] > 3 * error[2]


def test_values_and_their_type_are_kept(network, noise):
    small = noise[:, :9, :7]
    expected = network.upscale(small)
    assert expected.dtype == np.float32
    assert 0 <= expected.min() < 0.2 < 0.8 < expected.max() <= 1
    for dtype in (np.uint8, np.uint16):
        peak = np.iinfo(dtype).max
        numbers = (small * peak).astype(dtype)
        found = network.upscale(numbers)
        assert found.dtype == dtype
        exact = network.upscale(numbers.astype(np.float32) / peak)
        np.testing.assert_allclose(found, exact * peak, atol=0.5 + 1e-5 * peak)


def test_batches_equal_single_pictures(network):
    pictures = np.random.default_rng(2).random((5, 16, 16, 3), np.float32)
    together = network.upscale(pictures, tile=16)  # one at a time there
    np.testing.assert_allclose(network.upscale(pictures), together, atol=2e-6)
    for one, picture in zip(together, pictures, strict=True):
        np.testing.assert_allclose(network.upscale(picture), one, atol=2e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (3, 200)])
def test_any_size(network, shape):
    assert network.upscale(np.zeros((*shape, 3), np.uint8), tile=64).shape == (shape[0] * 4, shape[1] * 4, 3)


def test_moving_averages_are_used(network, trained, noise):
    generator = build_generator(network.config)
    restore(generator, f"{trained}/srez-7")
    for layer in generator.layers:
        if hasattr(layer, "moving_weight"):
            layer.moving_weight.assign(0.0)  # as before the first batch
    assert np.abs(generator(noise) - network.infer(noise, 0)).max() > 0.01


def test_which_checkpoint(trained):
    def weights(which: str) -> np.ndarray:
        return load(trained, which).generator.get_weights()[0]

    assert np.array_equal(weights("newest"), weights("7"))
    assert np.array_equal(weights("3"), weights("srez-3"))
    assert not np.array_equal(weights("3"), weights("7"))
    assert load(str(Path(trained).parent), "3").path == f"{trained}/srez-3"  # by the run's folder
    with pytest.raises(UserError, match="batches 3, 7"):
        load(trained, "5")


def test_weights_of_another_network_are_refused(trained, tmp_path):
    content = json.loads((Path(trained) / "config.json").read_text())
    content["options"]["width"] = 0.25
    for file in Path(trained).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="does not hold the weights") as error:
        load(str(tmp_path))
    assert "\n" not in str(error.value)


def test_precision(trained, network, noise):
    half = load(trained, precision="bfloat16").upscale(noise[:, :16, :16])
    difference = np.abs(half - network.upscale(noise[:, :16, :16])).max()
    assert 1e-6 < difference < 0.2


# ---- pictures of every kind ------------------------------------------------------------------------

GREY = Image.new("L", (3, 2), 100)
COLOUR = Image.new("RGB", (3, 2), (10, 200, 90))


def with_alpha(picture: Image.Image, value: int = 77) -> Image.Image:
    picture = picture.copy()
    picture.putalpha(value)
    return picture


@pytest.mark.parametrize(
    ("picture", "mode", "value"),
    [
        (GREY, "L", 100),
        (COLOUR, "RGB", (10, 200, 90)),
        (with_alpha(GREY), "LA", (100, 77)),
        (with_alpha(COLOUR), "RGBA", (10, 200, 90, 77)),
        (COLOUR.quantize(4), "RGB", (10, 200, 90)),
        (Image.new("1", (3, 2), 1), "1", 255),
        (Image.new("1", (3, 2), 0), "1", 0),
        (Image.fromarray(np.full((2, 3), 40001, np.uint16)), "I;16", 40001),
    ],
    ids=lambda v: getattr(v, "mode", str(v)),
)
def test_the_mode_is_kept(picture, mode, value):
    found, _ = through(as_file(picture, "PNG"))
    assert (found.mode, found.size) == (mode, (12, 8))
    assert {found.getpixel((x, y)) for x in range(12) for y in range(8)} == {value}


def test_transparent_palette():
    picture = Image.new("P", (3, 2), 1)
    picture.putpalette([1, 2, 3, 40, 50, 60])
    found, _ = through(as_file(picture, "PNG", transparency=1))
    assert found.mode == "RGBA"
    assert found.getpixel((5, 5)) == (40, 50, 60, 0)


def test_alpha_is_enlarged_by_lanczos():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 4), np.uint8), "RGBA")
    found, _ = through(as_file(picture, "PNG"))
    expected = picture.getchannel("A").resize((28, 36), Image.LANCZOS)
    np.testing.assert_array_equal(np.asarray(found.getchannel("A")), np.asarray(expected))


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_16_bit_tiff(byteorder):
    values = np.arange(0, 60000, 10000, np.uint16).reshape(2, 3).astype(f"{byteorder}u2")
    mode = "I;16" if byteorder == "<" else "I;16B"
    found, notes = through(as_file(Image.frombytes(mode, (3, 2), values.tobytes()), "TIFF"), "tiff")
    np.testing.assert_array_equal(np.asarray(found)[::4, ::4], values)
    assert (found.mode, notes) == ("I;16", [])


def test_cmyk():
    picture = Image.new("CMYK", (3, 2), (200, 40, 0, 20))
    expected = picture.convert("RGB").getpixel((0, 0))
    found, notes = through(as_file(picture, "TIFF"))
    assert (found.mode, found.getpixel((5, 5))) == ("RGB", expected)
    assert notes == ["png holds no CMYK: written as RGB"]
    found, notes = through(as_file(picture, "TIFF"), "tiff")
    assert (found.mode, notes) == ("CMYK", [])
    np.testing.assert_allclose(found.convert("RGB").getpixel((5, 5)), expected, atol=1)


@pytest.mark.parametrize(
    ("picture", "format", "mode"),
    [
        (with_alpha(COLOUR), "jpg", "RGB"),
        (with_alpha(COLOUR), "webp", "RGBA"),
        (with_alpha(GREY), "webp", "RGBA"),
        (Image.new("1", (3, 2)), "jpg", "L"),
        (Image.fromarray(np.full((2, 3), 40001, np.uint16)), "jpg", "L"),
        (with_alpha(GREY), "tiff", "LA"),
    ],
    ids=lambda v: getattr(v, "mode", str(v)),
)
def test_formats_that_hold_less_say_so(picture, format, mode):
    found, notes = through(as_file(picture, "PNG"), format)
    assert found.mode == mode
    assert bool(notes) == (mode != picture.mode)
    assert all(format in note and mode in note for note in notes)


def test_transparency_becomes_white_in_jpg():
    found, _ = through(as_file(with_alpha(Image.new("RGB", (8, 8)), 51), "PNG"), "jpg")
    np.testing.assert_allclose(found.getpixel((9, 9)), 204, atol=2)  # 0.8 of white


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation):
    lying = Image.fromarray(np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3))
    exif = Image.Exif()
    exif[0x112] = orientation
    found, _ = through(as_file(lying, "PNG", exif=exif))
    seen = np.asarray(found)[::4, ::4]
    upright = {
        **{1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose},
        **{6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T, 8: np.rot90},
    }[orientation]
    np.testing.assert_array_equal(seen, upright(np.asarray(lying)))
    assert 0x112 not in found.getexif()


def test_colour_profile_is_kept_where_it_fits():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found, _ = through(as_file(COLOUR, "PNG", icc_profile=profile))
    assert found.info["icc_profile"] == profile
    found, _ = through(as_file(COLOUR, "JPEG", icc_profile=profile), "webp")
    assert found.info["icc_profile"] == profile
    # a profile for colours says nothing of greys or inks
    found, _ = through(as_file(GREY, "PNG", icc_profile=profile))
    assert "icc_profile" not in found.info
    picture, _ = through(as_file(Image.new("CMYK", (3, 2)), "TIFF", icc_profile=b"damaged" * 30))
    assert "icc_profile" not in picture.info


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_an_animation(format):
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue", "green")]
    lossless = {"lossless": True} if format == "WEBP" else {}
    data = as_file(frames[0], format, save_all=True, append_images=frames[1:], **lossless)
    found, notes = through(data)
    assert found.convert("RGB").getpixel((3, 3)) == (255, 0, 0)
    assert "first of 3 frames" in notes


def test_deep_colours_are_read_as_8_bits_and_said():
    # Pillow writes none: one red pixel of 16 bits a channel as a PNG by hand
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + struct.pack(">HHH", 65535, 0, 257))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    found, notes = through(data)
    assert (found.mode, found.getpixel((0, 0))) == ("RGB", (255, 0, 1))
    assert notes == ["16 bits a channel are read as 8"]


def test_what_cannot_be_read_has_one_line(monkeypatch):
    whole = jpeg(1)
    for data, text in [
        (b"", "no picture"),
        (b"hello", "no picture"),
        (whole[:3000], "truncated"),
        (as_file(Image.new("F", (3, 2)), "TIFF"), "floating-point"),
    ]:
        with pytest.raises(ValueError, match=text) as error:
            read(data)
        assert "\n" not in str(error.value)
    monkeypatch.setattr(pictures, "LARGEST_WHOLE", 178 * 218)
    read(whole)
    monkeypatch.setattr(pictures, "LARGEST_WHOLE", 178 * 218 - 1)
    with pytest.raises(ValueError, match="178x218 is more than 0 million pixels"):
        read(whole)
    assert read(whole, 178 * 218).rgb.shape == decode(whole).shape == (218, 178, 3)


SAMPLES = [
    jpeg(2),
    as_file(Image.open(io.BytesIO(jpeg(2))).quantize(16), "GIF"),
    as_file(with_alpha(Image.new("RGB", (40, 30))), "PNG"),
    as_file(Image.open(io.BytesIO(jpeg(2))), "TIFF", compression="tiff_lzw"),
    as_file(Image.open(io.BytesIO(jpeg(2))), "WEBP"),
    as_file(Image.open(io.BytesIO(jpeg(2))), "HEIF"),
    as_file(Image.open(io.BytesIO(jpeg(2))), "AVIF"),
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SAMPLES), st.floats(0, 1), st.floats(0, 1), st.integers(0, 255), st.booleans())
def test_damage_is_never_more_than_a_valueerror(data, place, end, value, cut):
    data = bytearray(data)
    data[int(place * (len(data) - 1))] = value
    damaged = bytes(data[: int(end * len(data))] if cut else data)
    try:
        picture = read(damaged)
    except ValueError:
        return
    assert picture.rgb.ndim == 3


def test_too_large_for_the_format():
    picture = Picture(np.zeros((1, 1, 3), np.uint8), None, "RGB", None, [])
    with pytest.raises(ValueError, match="17000x1 cannot be written as webp"):
        picture.encode(np.zeros((1, 17000, 3), np.uint8), "webp")


# ---- faces -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "options", "square"),
    [
        (178, 218, {}, (25, 60, 128)),
        (356, 436, {}, (50, 120, 256)),
        (378, 436, {}, (61, 120, 256)),  # wider: the middle of it
        (356, 536, {}, (50, 170, 256)),
        (128, 128, {}, (0, 0, 128)),
        (64, 64, {}, (0, 0, 64)),
        (130, 130, {"crop_x": 1, "crop_y": 2}, (1, 2, 128)),
        (200, 100, {"crop_size": 100}, (50, 0, 100)),
    ],
)
def test_square_around_the_face(width, height, options, square):
    assert portraits.face_square(width, height, Config(**options)) == square


def test_squares_that_do_not_fit():
    with pytest.raises(UnusablePicture, match="too small"):
        portraits.face_square(100, 100, Config(crop_x=0, crop_y=0))
    with pytest.raises(ValueError, match="64 are needed"):
        portraits.read_face(as_file(Image.new("RGB", (3, 5000)), "PNG"), Config(), 64)


def test_label_and_feature_of_a_face():
    face = portraits.read_face(jpeg(4), Config(), 64)
    batch = portraits.to_batch([face], Config())
    crop = np.asarray(Image.open(io.BytesIO(jpeg(4))))[60:188, 25:153] / 255
    label = crop.reshape(64, 2, 64, 2, 3).mean((1, 3))
    np.testing.assert_allclose(batch.label[0], label, atol=1e-6)
    np.testing.assert_allclose(batch.feature[0], label.reshape(16, 4, 16, 4, 3).mean((1, 3)), atol=1e-6)
    tiny = portraits.to_batch([dataclasses.replace(face, rgb=np.full((32, 32, 3), 51, np.uint8))], Config())
    np.testing.assert_allclose(tiny.feature, 0.2, atol=1e-6)
    assert tiny.label.shape == (1, 64, 64, 3)


# ---- the command -----------------------------------------------------------------------------------


def upscale(trained: str, *images: object, **options) -> int:
    return upscaling.upscale(
        Config(
            **{"run": "upscale", "back_projection": 2, "checkpoint_dir": trained} | options,
            images=tuple(map(str, images)),
        )
    )


@pytest.fixture
def album(tmp_path) -> Path:
    """Pictures of several kinds and sizes, good and bad."""
    root = tmp_path / "album"
    (root / "sub").mkdir(parents=True)
    face = Image.open(io.BytesIO(jpeg(3))).resize((30, 36))
    exif = Image.Exif()
    exif[0x112] = 6
    face.save(root / "face.jpg")
    face.save(root / "rotated.jpg", exif=exif)
    face.save(root / "sub" / "face.jpg")
    face.convert("L").save(root / "face.png")
    face.convert("CMYK").save(root / "inks.jpg")
    Image.new("RGB", (1, 1), "red").save(root / "one.png")
    Image.new("RGB", (3, 500), "red").save(root / "long.png")
    (root / "broken.jpg").write_bytes(jpeg(1)[:2000])
    (root / "text.png").write_text("no picture")
    (root / "notes.txt").write_text("not looked at")
    return root


def test_upscale_as_a_user_runs_it(srez, trained, album, tmp_path):
    done = srez(
        "--run=upscale", "--output", "out", "album", "missing.jpg", checkpoint_dir=trained, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    skipped = sorted(line.split(": ")[1] for line in done.stderr.splitlines())
    assert skipped == ["skipped album/broken.jpg", "skipped album/text.png", "skipped missing.jpg"]
    found = {
        str(p.relative_to(tmp_path / "out")): Image.open(p)
        for p in (tmp_path / "out").rglob("*")
        if p.is_file()
    }
    assert {name: (picture.mode, picture.size) for name, picture in found.items()} == {
        "face_x4.png": ("RGB", (120, 144)),
        "face_2_x4.png": ("L", (120, 144)),
        "rotated_x4.png": ("RGB", (144, 120)),
        "inks_x4.png": ("RGB", (120, 144)),
        "one_x4.png": ("RGB", (4, 4)),
        "long_x4.png": ("RGB", (12, 2000)),
        "sub/face_x4.png": ("RGB", (120, 144)),
    }
    assert "png holds no CMYK" in done.stdout
    assert "album: 1 other file passed over (1 .txt)\n" in done.stdout
    assert "7 upscaled 4 times" in done.stdout
    assert "3 skipped" in done.stdout
    # true to the input: two rounds of back projection are the default
    small = np.asarray(Image.open(album / "face.jpg")).astype(float)
    large = np.asarray(found["face_x4.png"]).astype(float)
    assert np.abs(large.reshape(36, 4, 30, 4, 3).mean((1, 3)) - small).mean() < 8


def test_command_lines_that_are_refused_before_tensorflow(srez, trained, tmp_path):
    for words, options, text in [
        ([], {"checkpoint_dir": trained}, "no pictures"),
        (["nothing*.jpg"], {"checkpoint_dir": trained}, "nothing*.jpg: not there"),
        (["x.jpg"], {"checkpoint_dir": ROOT / "docs"}, "no config.json"),
        (["x.jpg"], {"checkpoint_dir": "nowhere", "checkpoint": 9}, "'nowhere' has no checkpoint '9'"),
        (["x.jpg"], {"checkpoint_dir": trained, "checkpoint": 9}, "batches 3, 7"),
        (["x.jpg", "--compare"], {"checkpoint_dir": trained}, "--face"),
    ]:
        done = srez("--run=upscale", *words, **options, cwd=tmp_path)
        assert done.returncode == 2
        assert text in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_existing_files_are_kept_unless_told(trained, album, tmp_path, capsys):
    target = tmp_path / "out" / "face_x4.png"
    target.parent.mkdir()
    target.write_bytes(b"mine")
    assert upscale(trained, album / "face.jpg", output=str(tmp_path / "out")) == 0
    assert target.read_bytes() == b"mine"
    assert "1 were there already" in capsys.readouterr().out
    assert upscale(trained, album / "face.jpg", output=str(tmp_path / "out"), overwrite=True) == 0
    assert Image.open(target).size == (120, 144)


def test_same_names_from_two_folders(trained, album, tmp_path):
    words = (album / "face.jpg", album / "sub" / "face.jpg", album / "face.jpg", album / "f*.jpg")
    assert upscale(trained, *words, output=str(tmp_path / "out")) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["face_2_x4.png", "face_x4.png"]


def test_pictures_with_one_stem_get_two_names_whatever_their_order_on_disk(tmp_path):
    for folder, names in (("a", ["IMG_1.HEIC", "IMG_1.JPG"]), ("b", ["IMG_1.JPG", "IMG_1.HEIC"])):
        (tmp_path / folder).mkdir()
        for name in [*names, "IMG_1_2.png"]:
            (tmp_path / folder / name).write_bytes(b"")
        found, _, _ = find.find_pictures([str(tmp_path / folder)])
        tasks = plan(found, Config(run="upscale", output="out"), 4)
        assert {os.path.basename(task.path): task.target for task in tasks} == {
            "IMG_1.HEIC": "out/IMG_1_x4.png",
            "IMG_1.JPG": "out/IMG_1_2_x4.png",
            "IMG_1_2.png": "out/IMG_1_2_2_x4.png",
        }


@pytest.mark.parametrize("output", ["album", "album/out", "album/sub"])
def test_outputs_are_not_upscaled_again(trained, album, tmp_path, output):
    for name in ("broken.jpg", "text.png"):
        (album / name).unlink()
    for _ in range(2):
        assert upscale(trained, album, output=str(tmp_path / output)) == 0
    assert not list(tmp_path.rglob("*_x4_x4*"))
    assert (tmp_path / output / "face_x4.png").exists()


def test_options_of_upscale(trained, album, tmp_path):
    picture = album / "face.jpg"

    def pixels(folder: str, **options) -> np.ndarray:
        assert upscale(trained, picture, output=str(tmp_path / folder), **options) == 0
        (file,) = (tmp_path / folder).iterdir()
        return np.asarray(Image.open(file)).astype(int)

    usual = pixels("usual")
    assert np.abs(pixels("tiles", tile=16) - usual).max() <= 1
    assert np.abs(pixels("plain", back_projection=0) - usual).max() > 5
    assert np.abs(pixels("older", checkpoint="3") - usual).max() > 5
    assert 0 < np.abs(pixels("half", precision="bfloat16") - usual).mean() < 10
    pixels("jpg", format="jpg")
    assert (tmp_path / "jpg" / "face_x4.jpg").exists()


def test_tile_is_what_goes_through_at_once(trained, album, tmp_path, monkeypatch):
    seen = []
    infer = Network.infer

    def watched(self, pictures, rounds):
        seen.append(pictures.shape)
        return infer.__get__(self, Network)(pictures, rounds)

    monkeypatch.setattr(Network, "infer", watched)
    for n in range(6):
        Image.new("RGB", (16, 16)).save(tmp_path / f"{n}.png")
    assert upscale(trained, tmp_path / "[0-5].png", output=str(tmp_path / "out"), tile=32) == 0
    assert [s[0] for s in seen] == [4, 2]
    seen.clear()
    assert upscale(trained, album / "long.png", output=str(tmp_path / "out"), tile=64) == 0
    margin = load(trained).margin(2)
    assert len(seen) == 8
    assert all(s[1] <= 64 + 2 * margin for s in seen)


def test_an_output_that_cannot_be_written_stops_no_other(trained, tmp_path, monkeypatch, capsys):
    """A folder in its way; a name that is too long; one that is not, though a temporary one could be."""
    root = tmp_path / "in"
    root.mkdir()
    for name in ("a", "b" * 251, "c" * 244, "d"):
        Image.new("RGB", (4, 4)).save(root / f"{name}.png")
    (tmp_path / "out" / "a_x4.png").mkdir(parents=True)
    assert upscale(trained, root, output=str(tmp_path / "out"), overwrite=True) == 2
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"a_x4.png", "c" * 244 + "_x4.png", "d_x4.png"}
    said = capsys.readouterr()
    assert "2 upscaled 4 times" in said.out
    assert "; 2 skipped, named above" in said.out
    first, second = said.err.splitlines()
    assert first == f"srez: skipped {root}/a.png: Is a directory: cannot write {tmp_path}/out/a_x4.png"
    assert second.startswith(f"srez: skipped {root}/bbb")
    assert "File name too long" in second
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(files, "write_whole", mock.Mock(side_effect=full))
    with pytest.raises(OSError, match="No space left"):
        upscale(trained, root / "d.png", output=str(tmp_path / "full"))


def test_find_counts_each_file_once(album):
    found, problems, _ = find.find_pictures(
        [f"{album}/*.png", str(album), f"{album}/none*", f"{album}/face.png"]
    )
    assert len(found) == 9
    assert problems == [(f"{album}/none*", "not there")]
    assert found[f"{album}/sub/face.jpg"] == "sub/face.jpg"


LARGE = """
import resource, sys, numpy as np
from unittest import mock
from PIL import Image
from srez.inference import upscale
from srez.inference.network import Network
from srez.networks.build import build_generator
from srez.options.config import Config

build_generator(Config()).save_weights("generator.weights.h5")
noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
Image.fromarray(noise).save("big.png")
network = Network(Config(), "generator.weights.h5")
with mock.patch.object(upscale, "load", lambda *_: network):
    upscale.upscale(Config(run="upscale", images=("big.png",), back_projection=2))
assert Image.open("output/big_x4.png").size == (4096, 4096)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_of_a_large_picture(tmp_path):
    """4096x4096 out, full width: under 2 GB."""
    done = subprocess.run(
        [sys.executable, "-c", LARGE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout.split()[-1]) < 2_000_000  # kB


# ---- large pictures --------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path) -> Path:
    """More than 256x256 pixels."""
    across, down = np.meshgrid(np.linspace(40, 200, 260), np.linspace(60, 180, 256))
    path = tmp_path / "large.png"
    Image.fromarray(np.stack([across, down, across], -1).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("allowed", [3, 1e-6])
def test_large_pictures_take_bfloat16_where_it_does_not_show(
    trained, large, tmp_path, monkeypatch, capsys, allowed
):
    monkeypatch.setattr(upscaling, "fast_bfloat16", lambda: True)
    monkeypatch.setattr(upscaling, "MAX_DIFFERENCE", allowed)
    pixels = {}
    for precision in ("auto", "float32", "bfloat16"):
        assert upscale(trained, large, output=str(tmp_path / precision), precision=precision) == 0
        pixels[precision] = np.asarray(Image.open(tmp_path / precision / "large_x4.png")).astype(int)
    assert 0 < np.abs(pixels["bfloat16"] - pixels["float32"]).max() <= 3
    taken = "bfloat16" if allowed == 3 else "float32"
    assert (pixels["auto"] == pixels[taken]).all()
    said = [line for line in capsys.readouterr().out.splitlines() if "of 255 levels" in line]
    assert len(said) == 1
    assert f"large_x4.png 1040x1024 (in {taken}, " in said[0]


def test_small_pictures_and_old_processors_stay_with_float32(
    trained, album, large, tmp_path, monkeypatch, capsys
):
    for fast, picture in ((True, album / "face.jpg"), (False, large)):
        monkeypatch.setattr(upscaling, "fast_bfloat16", lambda fast=fast: fast)
        assert upscale(trained, picture, output=str(tmp_path), precision="auto") == 0
    assert "float" not in capsys.readouterr().out


def test_what_a_larger_picture_can_expect_is_said_once_before(trained, album, tmp_path, capsys):
    for n in range(2):
        Image.new("RGB", (65, 20)).save(tmp_path / f"{n}.png")
    assert upscale(trained, album / "face.jpg", output=str(tmp_path / "out")) == 0
    assert "the network knows faces" not in capsys.readouterr().out
    assert upscale(trained, tmp_path / "0.png", tmp_path / "1.png", output=str(tmp_path / "out")) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("the network knows faces about 16 pixels wide: ")
    assert "--face enlarges a photograph's small faces" in said[0]
    assert sum("the network knows" in line for line in said) == 1


@pytest.mark.parametrize(("seconds", "said"), [(59, ""), (180, "big.png: about 3 minutes more")])
def test_a_long_time_is_told_after_the_first_tile(monkeypatch, capsys, seconds, said):
    clock = iter([0.0, seconds / 9, 2 * seconds / 9])
    monkeypatch.setattr(upscaling.time, "monotonic", lambda: next(clock))
    counted = []
    expectation = upscaling.Expectation(1000, "big.png", Screen(1, "picture"), counted.append)
    for _ in range(2):
        expectation.step(100)
    assert counted == [100, 100]
    assert capsys.readouterr().out.strip() == said


def test_auto_is_float32_elsewhere(trained):
    assert load(trained, precision="auto").config.precision == "float32"


@pytest.mark.parametrize("run", ["train", "study"])
def test_auto_is_refused_in_training(run):
    with pytest.raises(UserError, match=f"--precision=auto with --run={run}"):
        check(Config(run=run, precision="auto"))
