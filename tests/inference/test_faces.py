"""--face: the faces of photographs, found, enlarged, put back."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import astronaut
from PIL import Image
from skimage import data

from srez.data.align import WHOLE, find_faces, straighten
from srez.errors import UserError
from srez.inference import faces
from srez.inference import upscale as upscaling
from srez.inference.faces import put_back
from srez.inference.network import EnlargedFace, load
from srez.metrics.pictures import EVAL_METRICS
from srez.options.config import Config
from srez.options.rules import check


def run(folder: str, *images: object, **options) -> int:
    usual = {"run": "upscale", "face": True, "back_projection": 2, "checkpoint_dir": folder}
    config = Config(**usual | options, images=tuple(map(str, images)))
    check(config)
    return upscaling.upscale(config)


def written(folder: Path) -> dict[str, tuple[int, int]]:
    """Sizes of the pictures in a folder, by name."""
    return {path.name: Image.open(path).size for path in sorted(folder.rglob("*.*"))}


@pytest.fixture
def photos(tmp_path) -> Path:
    """One small face, one large one, both together, and nobody."""
    root = tmp_path / "photos"
    root.mkdir()
    astronaut(100).save(root / "small.png")
    astronaut(300).save(root / "large.png")
    both = Image.new("RGB", (600, 400), "grey")
    for place in ((20, 30), (20, 200)):
        both.paste(astronaut(100), place)
    both.paste(astronaut(300), (250, 60))
    both.save(root / "both.png")
    Image.fromarray(data.coffee()).save(root / "nobody.png")
    return root


def test_small_faces_are_enlarged_and_put_back(trained, photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(trained, photos, output=str(out)) == 2
    assert written(out) == {
        "both_face1.png": (64, 64),
        "both_face2.png": (64, 64),
        "both_faces_x4.png": (2400, 1600),
        "small_face1.png": (64, 64),
        "small_faces_x4.png": (400, 400),
    }
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert f"skipped {photos}/nobody.png: no face of 16 pixels or more found (--aligned" in said.err
    lines = said.out.splitlines()
    for name in ("large", "both"):
        told = re.search(
            rf"{photos}/{name}.png: 1 face already (\d+) pixels wide: nothing to gain; --red", said.out
        )
        assert int(told[1]) == pytest.approx(79, abs=4)
    assert lines[-1].startswith("3 faces of 4 pictures enlarged to 64x64 with ")
    assert "; 2 put back together; 1 with nothing to gain, named above; 1 skipped, named above" in lines[-1]
    whole = np.asarray(Image.open(out / "small_faces_x4.png")).astype(int)
    lanczos = np.asarray(astronaut(100).resize((400, 400), Image.Resampling.LANCZOS))
    changed = np.abs(whole - lanczos).any(-1)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    # 4 times her square of 26 pixels around (44, 26), turned a little
    assert (columns.mean(), rows.mean()) == (pytest.approx(175, abs=12), pytest.approx(91, abs=12))
    assert 85 < len(columns) < 125 > len(rows) > 85


def test_nothing_to_gain_is_no_failure(trained, photos, tmp_path, capsys):
    assert run(trained, photos / "large.png", output=str(tmp_path / "out")) == 0
    assert not (tmp_path / "out").exists()
    said = capsys.readouterr().out
    assert "0 faces of 1 picture enlarged" in said
    (face,) = find_faces(np.asarray(Image.open(photos / "large.png")))
    assert f": 1 face already {round(face.side)} pixels wide" in said  # as --redraw says


def test_what_is_there_is_kept(trained, photos, tmp_path, capsys):
    out = tmp_path / "out"
    for _ in range(2):
        assert run(trained, photos / "small.png", output=str(out), paste="off") == 0
    assert "1 were there already (--overwrite replaces them)" in capsys.readouterr().out
    assert written(out) == {"small_face1.png": (64, 64)}


def test_a_strip_that_is_missing_is_made(trained, photos, tmp_path, capsys):
    for compare in (False, True, True):
        assert run(trained, photos / "small.png", output=str(tmp_path), compare=compare, paste="off") == 0
    assert written(tmp_path).keys() >= {"small_face1.png", "small_face1_compare.png"}
    assert capsys.readouterr().out.count("were there already") == 1


def test_grey_stays_grey(trained, tmp_path):
    astronaut(100).convert("L").save(tmp_path / "grey.png")
    assert run(trained, tmp_path / "grey.png", output=str(tmp_path / "out")) == 0
    modes = {path.name: Image.open(path).mode for path in (tmp_path / "out").iterdir()}
    assert modes == {"grey_face1.png": "L", "grey_faces_x4.png": "L"}


def test_what_was_written_is_not_searched(trained, photos, capsys):
    for name in ("both.png", "large.png", "nobody.png"):
        (photos / name).unlink()
    for _ in range(2):
        assert run(trained, photos, output=str(photos), compare=True) == 0
    assert written(photos).keys() == {
        "small.png",
        "small_face1.png",
        "small_face1_compare.png",
        "small_faces_x4.png",
    }


def test_faces_smaller_than_min_face_are_no_question_of_framing(trained, photos, tmp_path, capsys):
    assert run(trained, photos / "small.png", output=str(tmp_path / "out"), min_face=300) == 2
    said = capsys.readouterr().err
    assert "no face of 300 pixels or more found (a lower --min_face for smaller ones)" in said


def test_options(trained, photos, tmp_path):
    def names(folder: str, **options) -> set[str]:
        assert run(trained, photos / "both.png", output=str(tmp_path / folder), **options) == 0
        return {name.removeprefix("both_") for name in written(tmp_path / folder)}

    assert names("off", paste="off") == {"face1.png", "face2.png"}
    assert names("jpg", format="jpg") == {"face1.jpg", "face2.jpg", "faces_x4.jpg"}
    assert names("redraw", redraw=True) == {"redrawn1.png", "redrawn2.png", "redrawn3.png"}
    assert names("largest", only_largest=True, redraw=True) == {"redrawn1.png"}
    assert names("above", min_face=40, redraw=True) == {"redrawn1.png"}
    first, second = (
        np.asarray(Image.open(tmp_path / f / "both_redrawn1.png")) for f in ("redraw", "largest")
    )
    np.testing.assert_array_equal(first, second)


def lanczos_of(picture: np.ndarray) -> np.ndarray:
    """Four times as large, as Pillow does it."""
    size, how = (4 * picture.shape[1], 4 * picture.shape[0]), Image.Resampling.LANCZOS
    if picture.dtype == np.uint8:
        return np.asarray(Image.fromarray(picture).resize(size, how))
    channels = np.moveaxis(picture.astype(np.float32), -1, 0)
    return np.stack([np.asarray(Image.fromarray(c).resize(size, how)) for c in channels], -1).clip(0, 65535)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_put_back_leaves_the_rest_to_lanczos(dtype):
    peak = np.iinfo(dtype).max
    picture = (np.asarray(astronaut(60)) / 255 * peak).astype(dtype)
    share = np.zeros((40, 48, 1), np.float32)
    share[:, 8:] = 0.25
    share[:, 16:] = 1
    red = np.full((40, 48, 3), (1.0, 0, 0), np.float32)
    lanczos = lanczos_of(picture)
    for x, y in ((10, 20), (-3, -2), (55, 54), (100, 0)):
        whole = put_back(picture, [EnlargedFace(red, red, red, share, x, y)], 4)
        assert (whole.shape, whole.dtype) == ((240, 240, 3), dtype)
        expected = lanczos.astype(float)
        for row in range(40):
            for column in range(8, 48):
                place = 4 * y + row, 4 * x + column
                if min(place) >= 0 and max(place) < 240:
                    expected[place] += share[row, column] * (np.array([peak, 0, 0]) - expected[place])
        outside = (expected == lanczos).all(-1)
        np.testing.assert_allclose(whole[outside], expected[outside], atol=0 if dtype == np.uint8 else 0.51)
        np.testing.assert_allclose(whole, expected, atol=1)


def test_an_enlarged_face_agrees_with_the_pixels_of_its_picture(trained):
    picture = np.asarray(astronaut(100, 15))
    (face,) = find_faces(picture)
    enlarged = load(trained).enlarge_face(picture, face, rounds=8)
    height, width = (n // 4 for n in enlarged.part.shape[:2])
    averaged = enlarged.part.reshape(height, 4, width, 4, 3).mean((1, 3))
    given = picture[enlarged.y : enlarged.y + height, enlarged.x : enlarged.x + width] / 255
    assert np.abs(averaged - given).mean() < 0.004
    assert enlarged.upright.shape == (64, 64, 3)
    upright = straighten(enlarged.part, face.within(enlarged.x, enlarged.y, 4), 64)
    np.testing.assert_array_equal(enlarged.upright, upright)
    lanczos = straighten(lanczos_of(picture), face.within(0, 0, 4), 64)
    np.testing.assert_allclose(enlarged.plain, lanczos, atol=5 / 255)  # Pillow rounds bytes half way


def test_paste_auto_is_for_more_than_the_face(trained, tmp_path):
    close = astronaut(100).crop((28, 10, 60, 42))
    close.save(tmp_path / "close.png")
    for paste, expected in (("auto", {"close_face1.png"}), ("on", {"close_face1.png", "close_faces_x4.png"})):
        assert run(trained, tmp_path / "close.png", output=str(tmp_path / paste), paste=paste) == 0
        assert written(tmp_path / paste).keys() == expected


def test_strips(trained, photos, tmp_path, capsys):
    """Four columns where the truth is known, three where it is not: 256 pixels each under their titles."""
    for name, columns, options in (("large", 4, {"redraw": True}), ("small", 3, {"paste": "off"})):
        assert run(trained, photos / f"{name}.png", output=str(tmp_path), compare=True, **options) == 0
        kind = "redrawn" if columns == 4 else "face"
        path = tmp_path / f"{name}_{kind}1_compare.png"
        assert f"{photos}/{name}.png -> {path} {columns * 264 - 8}x284\n" in capsys.readouterr().out
        strip = np.asarray(Image.open(path))
        assert strip.shape == (256 + 28, columns * 264 - 8, 3)
        assert (strip[:28] < 128).any(axis=(0, 2))[:256].any()
        face = np.asarray(Image.open(photos / f"{name}.png"))
        found = find_faces(face)[0]
        side = 16 if columns == 4 else round(found.side)
        seen = 255 * straighten(face, found, side)
        shown = np.asarray(Image.fromarray(strip[28:, :256]).resize((side, side), Image.Resampling.NEAREST))
        np.testing.assert_allclose(shown, seen, atol=0.51)
        drawn = Image.open(tmp_path / f"{name}_{kind}1.png").resize((256, 256), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(strip[28:, 528:784], drawn)


def test_aligned_is_what_training_sees(trained, tmp_path, capsys):
    photo = np.asarray(astronaut())
    upright = straighten(photo, find_faces(photo)[0], 178, WHOLE)
    Image.fromarray((255 * upright).astype(np.uint8)).save(tmp_path / "me.png")
    options = {"aligned": True, "compare": True, "output": str(tmp_path / "out")}
    assert run(trained, tmp_path / "me.png", **options) == 0
    assert written(tmp_path / "out") == {"me_face1.png": (64, 64), "me_face1_compare.png": (1048, 284)}
    said = capsys.readouterr().out
    assert "face 128x128 at (25, 60)" in said
    assert "1 face of 1 picture drawn from 16x16 to 64x64 with " in said
    crop = np.asarray(Image.open(tmp_path / "me.png"))[60:188, 25:153] / np.float32(255)
    feature = crop.reshape(16, 8, 16, 8, 3).mean((1, 3))
    expected = 255 * load(trained).upscale(feature)
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "out" / "me_face1.png")), expected, atol=0.51)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"face": False, "redraw": True}, "--redraw without --face"),
        ({"face": False, "compare": True}, "--compare without --face"),
        ({"face": False, "aligned": True}, "--aligned without --face"),
        ({"face": False, "only_largest": True}, "--only_largest without --face"),
        ({"face": False, "paste": "on"}, "--paste=on without --face"),
        ({"aligned": True, "paste": "on"}, "--paste=on with --aligned"),
        ({"redraw": True, "paste": "on"}, "--paste=on with --redraw"),
        ({"aligned": True, "only_largest": True}, "--only_largest with --aligned"),
        ({"aligned": True, "redraw": True}, "--redraw with --aligned"),
        ({"aligned": True, "min_face": 40}, "--min_face=40 with --aligned"),
        ({"face": False, "min_face": 40}, "--min_face=40 without --face"),
        ({"crop_size": 100}, "--crop_size=100 with --face: .*--aligned"),
    ],
)
def test_options_that_do_not_go_together(trained, photos, tmp_path, options, problem):
    with pytest.raises(UserError, match=problem):
        run(trained, photos / "small.png", output=str(tmp_path / "out"), **options)
    assert not (tmp_path / "out").exists()


def test_a_network_that_knows_other_frames_takes_aligned_pictures_only(trained, photos, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    content = json.loads((other / "config.json").read_text())
    content["options"] |= {"crop_size": 100}
    (other / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"was trained with --crop_size=100, .* with --face --aligned"):
        run(str(other), photos / "small.png", output=str(tmp_path / "out"))
    assert run(str(other), photos / "large.png", output=str(tmp_path / "out"), aligned=True) == 0
    assert written(tmp_path / "out") == {"large_face1.png": (64, 64)}


def test_one_picture_without_memory_stops_no_other(trained, photos, tmp_path, monkeypatch, capsys):
    find = faces.find_faces

    def short_of_memory(picture: np.ndarray, *rest) -> list:
        if len(picture) == 400:
            raise MemoryError
        return find(picture, *rest)

    monkeypatch.setattr(faces, "find_faces", short_of_memory)
    assert run(trained, photos / "both.png", photos / "small.png", output=str(tmp_path / "out")) == 2
    assert written(tmp_path / "out").keys() == {"small_face1.png", "small_faces_x4.png"}
    assert "both.png: no memory for it; --paste=off needs less" in capsys.readouterr().err


def test_faces_that_cannot_be_put_back_are_written_alone(trained, tmp_path, capsys):
    wide = Image.new("RGB", (4200, 110), "grey")
    wide.paste(astronaut(110), (2000, 0))
    wide.save(tmp_path / "wide.png")
    small = {"output": str(tmp_path / "out"), "format": "webp"}
    code = run(trained, tmp_path / "wide.png", **small)
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    assert f"{tmp_path}/wide.png: faces not put back, 16800x440 cannot be written as webp" in said.out
    assert written(tmp_path / "out") == {"wide_face1.webp": (64, 64)}


def test_what_transparency_hides_is_not_seen(trained, tmp_path):
    """Green below all that is transparent: the face is made over white, as it was found."""
    picture = astronaut(100).convert("RGBA")
    alpha = Image.new("L", (100, 100), 0)
    alpha.paste(255, (34, 12, 56, 40))
    hidden = Image.new("RGBA", (100, 100), (0, 255, 0, 0))
    hidden.paste(picture, mask=alpha)
    hidden.putalpha(alpha)
    white = Image.alpha_composite(Image.new("RGBA", (100, 100), "white"), hidden).convert("RGB")
    for name, one in (("hidden", hidden), ("white", white)):
        one.save(tmp_path / f"{name}.png")
        assert run(trained, tmp_path / f"{name}.png", output=str(tmp_path / "out")) == 0
    pictures = [
        np.asarray(Image.open(tmp_path / "out" / f"{name}_face1.png")) for name in ("hidden", "white")
    ]
    np.testing.assert_array_equal(*pictures)


# ---- from Python -----------------------------------------------------------------------------------


def test_faces_of_a_picture(trained):
    picture = Image.new("RGB", (600, 400), "grey")
    picture.paste(astronaut(100), (20, 30))
    picture.paste(astronaut(300), (250, 60))
    network = load(trained)
    large, small = network.faces(picture)
    assert (large.picture.shape, small.picture.shape) == ((64, 64, 3), (64, 64, 3))
    assert (large.crop.shape[0], small.crop.shape[0]) == (pytest.approx(79, abs=4), pytest.approx(26, abs=2))
    assert large.picture.dtype == large.crop.dtype == np.uint8
    x, y, width, height = small.box
    assert 20 < x < small.landmarks[0, 0] < small.landmarks[1, 0] < x + width < 120
    assert 30 < y < small.landmarks[2, 1] < y + height < 130
    found = find_faces(np.asarray(picture))
    crop = straighten(np.asarray(picture), found[0], len(large.crop))
    np.testing.assert_allclose(large.crop, 255 * crop, atol=0.51)
    for same in (np.asarray(picture), np.asarray(picture) / 255, np.asarray(picture).astype(np.uint16) * 257):
        np.testing.assert_array_equal(network.faces(same)[0].picture, large.picture)
    assert network.faces(picture.convert("L"), min_face=60)[0].crop.std(axis=-1).max() == 0
    with pytest.raises(UserError, match="a batch of 2 pictures: faces are looked for in one at a time"):
        network.faces(np.zeros((2, 9, 9, 3), np.uint8))
    with pytest.raises(UserError, match="min_face=-1: must be at least 8"):
        network.faces(picture, min_face=-1)
    with pytest.raises(UserError, match="numbers of kind int64"):
        network.faces(np.zeros((9, 9), int))


@pytest.mark.parametrize("side", [70, 80])
def test_the_generator_that_comes_along_beats_lanczos(side):
    """On a photograph that nobody trained on, at 18 and 21 pixels."""
    full = np.asarray(astronaut())
    (face,) = find_faces(full)
    photo, there = (
        np.asarray(astronaut().resize((side, side), Image.Resampling.BOX)),
        face.within(0, 0, side / 512),
    )
    true = straighten(full, face, 64)
    made = load(checkpoint="sharp").enlarge_face(photo, there).upright
    lanczos = straighten(lanczos_of(photo), there.within(0, 0, 4), 64)
    psnr, ssim = (
        [float(EVAL_METRICS[name](one[None], true[None], None)[0]) for one in (made, lanczos)]
        for name in ("psnr", "ssim")
    )
    assert 23 < psnr[1] + 0.15 < psnr[0] < 26
    assert 0.7 < ssim[1] + 0.03 < ssim[0] < 0.9
