"""Films: of the grids, of the checkpoints, between noise points."""

import dataclasses
import itertools
import json
import sys
import tempfile
import tracemalloc
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from helpers import ROOT, folders, quick, train, wait_for
from PIL import Image

import srez_demo
from srez.errors import UserError, as_user_error
from srez.images import layout
from srez.options.config import Config
from srez.system.signals import Stop


def read_film(path: Path) -> tuple[dict, list[np.ndarray]]:
    """What ffmpeg says of a film, and its frames."""
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    width, height = about["size"]
    return about, [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


def colour_grids(folder: Path, colours: dict[int, tuple], size: tuple[int, int] = (256, 640)) -> None:
    folder.mkdir(exist_ok=True)
    for batch, colour in colours.items():
        Image.new("RGB", size, colour).save(folder / f"batch{batch:06d}_out_l.png")


@pytest.fixture(scope="module")
def trained(faces, tmp_path_factory) -> Config:
    """Three batches with grids of 0, 1, 2, 3 and a checkpoint of each."""
    root = tmp_path_factory.mktemp("trained")
    config = quick(faces, root, max_batches=3, summary_period=1, checkpoint_period=1)
    assert train(config) == 0
    return config


def test_grids_in_order_become_a_watchable_film(tmp_path):
    colour_grids(tmp_path / "train", {1000: (0, 0, 255), 0: (255, 0, 0), 200: (0, 255, 0)})
    assert srez_demo.demo(Config(**folders(tmp_path)), Stop()) == 0
    about, frames = read_film(tmp_path / "train" / "demo1.mp4")
    assert about["codec"] == "h264"
    assert "yuv420p" in about["pix_fmt"]
    assert about["size"] == (8 * 132 - 4, 28 + 5 * 132 - 4 + 28)  # in two halves, between two lines of text
    assert 3 <= about["duration"] <= 10
    strongest = [int(frame.mean(axis=(0, 1)).argmax()) for frame in frames]
    assert strongest == sorted(strongest)
    assert set(strongest) == {0, 1, 2}
    assert strongest.count(2) > strongest.count(1) > 12
    assert [p.name for p in (tmp_path / "train").iterdir() if "tmp" in p.name] == []


@pytest.mark.parametrize(
    ("grids", "seconds", "shown", "each"),
    [
        *[(1, 60, 1, 0), (3, 60, 3, 24), (7, 60, 7, 20), (50, 60, 50, 2), (144, 60, 144, 1)],
        *[(1393, 60, 1393, 1), (1394, 60, 1393, 1), (5000, 60, 1393, 1)],
        *[(7, 3, 7, 3), (24, 3, 24, 1), (26, 3, 25, 1)],
    ],
)
def test_a_film_of_some_seconds_however_many_grids(grids, seconds, shown, each):
    """Whole frames: each grid the same number, the last two seconds; evenly chosen where they do not fit."""
    frames = srez_demo.schedule(grids, seconds)
    indices = list(frames)
    assert (len(indices), indices[0], indices[-1]) == (shown, 0, grids - 1)
    assert list(frames.values()) == [each] * (shown - 1) + [48]
    assert sum(frames.values()) <= seconds * 24
    steps = {after - before for before, after in itertools.pairwise(indices)}
    assert steps <= {(grids - 1) // max(1, shown - 1), -(-(grids - 1) // max(1, shown - 1))}


@pytest.mark.parametrize(("seconds", "shown"), [(60, range(145)), (3, range(0, 145, 6))])
def test_each_of_many_grids_is_shown_for_its_frames(tmp_path, capsys, seconds, shown):
    """The number of a grid stands in it: eight black or white squares of 16 pixels are its bits."""
    (tmp_path / "train").mkdir()
    for number in range(145):
        bits = [255 * (number >> bit & 1) for bit in range(8)]
        square = np.repeat(np.repeat(np.uint8([bits]), 16, 0), 16, 1)
        Image.fromarray(square).convert("RGB").save(tmp_path / "train" / f"batch{number:06d}_out_l.png")
    assert srez_demo.demo(Config(demo_seconds=seconds, **folders(tmp_path)), Stop()) == 0
    _, frames = read_film(tmp_path / "train" / "demo1.mp4")
    seen = [sum((int(frame[16, 32 * bit + 16, 0]) > 128) << bit for bit in range(8)) for frame in frames]
    assert seen == [*shown[:-1], *[144] * 48]
    said = "" if seconds == 60 else "25 of 145 grids shown (--demo_seconds=3)\n"
    assert capsys.readouterr().out.startswith(f"{said}film: ")


def test_a_frame_says_what_it_shows(tmp_path):
    """Faces of 128 pixels in titled columns, the lower five to the right; batch and PSNR below them."""
    (tmp_path / "checkpoint").mkdir()
    lines = [{"batch": 0, "psnr": 9.876}, {"batch": 200, "loss": 1.0}, {"batch": 200, "psnr": "damaged"}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "checkpoint" / "metrics.jsonl").write_text(text)
    levels = np.arange(40, dtype=np.uint8).reshape(10, 4) * 5  # of ten faces in four columns
    picture = np.broadcast_to(levels.repeat(64, 0).repeat(64, 1)[:, :, None], (640, 256, 3))
    grids = {batch: srez_demo.Grid("a path", picture.shape, lambda: picture) for batch in (1200, 200, 0)}
    frames = [grid.picture() for grid in srez_demo.explained(grids, Config(**folders(tmp_path)))]
    for frame in frames:
        assert frame.shape == (712, 1052, 3)
        for face, column in itertools.product(range(10), range(4)):
            y, x = 28 + 132 * (face % 5), 132 * (4 * (face // 5) + column)
            assert (frame[y : y + 128, x : x + 128] == levels[face, column]).all()
        titles = [frame[:28, 132 * i : 132 * i + 128] for i in range(8)]
        assert all((title < 128).any() for title in titles)
        assert all(np.array_equal(titles[i], titles[i + 4]) for i in range(4))
    for frame, caption in zip(
        frames,
        [("batch 0", "held-out faces: PSNR 9.88 dB"), ("batch 200", ""), ("batch 1,200", "")],
        strict=True,
    ):
        assert np.array_equal(frame[-28:], layout.captioned(frame[:1], *caption)[1:])


def test_memory_holds_one_grid_at_a_time(tmp_path):
    """Sixty frames of 1 MB, and less than ten of them."""
    colour_grids(tmp_path / "train", {n: (4 * n, 0, 0) for n in range(60)}, (256, 256))
    tracemalloc.start()
    try:
        assert srez_demo.demo(Config(**folders(tmp_path)), Stop()) == 0
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


# an ffmpeg whose film is cut without a word, whose disk takes no more, and that is killed
CUT = 'for f; do :; done; [ ! -f "$f" ] || { head -c 3000 "$f" >"$f.cut" && mv "$f.cut" "$f"; }'
FAILING = {
    "cut": (f'FFMPEG "$@"; {CUT}', "no film: what ffmpeg wrote is no whole film of 72 frames: give the"),
    "limit": (
        "trap '' XFSZ; ulimit -f 4; exec FFMPEG \"$@\"",
        "(TMPDIR): File too large: raise the limit",
    ),
    "dies": ('case "$*" in *x264*) kill -9 $$;; esac; exec FFMPEG "$@"', "it ended with code -9"),
}


@pytest.mark.parametrize("how", FAILING)
def test_a_film_that_ffmpeg_did_not_write_whole_never_replaces_one(tmp_path, monkeypatch, how):
    script, expected = FAILING[how]
    program, temporary, noise = tmp_path / "ffmpeg", tmp_path / "temporary", np.random.default_rng(0)
    program.write_text("#!/bin/sh\n" + script.replace("FFMPEG", imageio_ffmpeg.get_ffmpeg_exe()))
    program.chmod(0o755)
    for folder in (temporary, tmp_path / "train"):
        folder.mkdir()
    for batch in (0, 1):
        picture = Image.fromarray(noise.integers(0, 256, (64, 64, 3), np.uint8))
        picture.save(tmp_path / "train" / f"batch{batch:06d}_out_l.png")
    (tmp_path / "train" / "demo1.mp4").write_text("the film before")
    monkeypatch.setenv("FFMPEG_BINARY", str(program))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises((UserError, OSError)) as raised:
        srez_demo.demo(Config(**folders(tmp_path)), Stop())
    assert expected in str(as_user_error(raised.value))
    assert (tmp_path / "train" / "demo1.mp4").read_text() == "the film before"
    assert len(list((tmp_path / "train").iterdir())) == 3
    assert list(temporary.iterdir()) == []


def test_a_signal_during_a_film_leaves_nothing_behind(spawn, tmp_path, monkeypatch):
    colour_grids(tmp_path / "train", {0: (255, 0, 0)}, (16, 16))
    (tmp_path / "train" / "demo1.mp4").write_text("the film before")
    program, temporary = tmp_path / "ffmpeg", tmp_path / "temporary"
    temporary.mkdir()
    program.write_text(
        '#!/bin/sh\n[ "$1" != -encoders ] || { echo " V libx264 "; exit; }\n'
        'for f; do :; done; echo half >"$f"; cat >/dev/null; exec sleep 60\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("FFMPEG_BINARY", str(program))
    monkeypatch.setenv("TMPDIR", str(temporary))
    words = [f"--{name}={folder}" for name, folder in folders(tmp_path).items()]
    process = spawn([sys.executable, str(ROOT / "srez_main.py"), "--run=demo", *words])
    wait_for(lambda: list(temporary.glob("*/film.mp4")), seconds=60)
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (75, "")
    assert out == "SIGTERM: stopped; the film that was being made is as it was before\n"
    assert (tmp_path / "train" / "demo1.mp4").read_text() == "the film before"
    assert len(list((tmp_path / "train").iterdir())) == 2
    assert list(temporary.iterdir()) == []


def test_grids_of_another_size_and_damaged_ones_are_left_out(tmp_path, capsys):
    colour_grids(tmp_path / "train", {0: (9, 9, 9), 5: (9, 9, 9)}, (128, 640))
    colour_grids(tmp_path / "train", {10: (0, 0, 255), 20: (0, 0, 255)}, (255, 641))
    (tmp_path / "train" / "batch000015_out_l.png").write_bytes(b"half a file")
    assert srez_demo.demo(Config(**folders(tmp_path)), Stop()) == 0
    about, _ = read_film(tmp_path / "train" / "demo1.mp4")
    assert about["size"] == (510, 2 * 641 + 28)  # no grid of this run: its columns have no titles
    out = capsys.readouterr().out
    assert "2 grids of another size left out" in out
    assert "batch000015_out_l.png" in out


def test_the_last_frame_comes_from_the_newest_checkpoint(trained, tmp_path):
    config = dataclasses.replace(trained, train_dir=str(tmp_path / "train"))
    expected = np.asarray(Image.open(Path(trained.train_dir) / "batch000003_out_l.png")).astype(int)
    colour_grids(tmp_path / "train", {0: (255, 0, 0), 1: (0, 255, 0)}, (256, 128))
    srez_demo.demo(config, Stop())
    _, frames = read_film(tmp_path / "train" / "demo1.mp4")
    # two faces of four columns: the second one stands to the right
    row = np.concatenate(np.split(expected, 2), axis=1).repeat(2, 0).repeat(2, 1)
    shown = [[frame[28:156, 132 * i : 132 * i + 128].astype(int) for i in range(8)] for frame in frames]
    off = [np.abs(np.concatenate(faces, axis=1) - row).mean() for faces in shown]
    assert off[-1] < 6  # yuv420p and H.264 are not exact
    assert off[0] > 40


def test_without_grids_the_frames_come_from_the_checkpoints(trained, tmp_path, capsys):
    config = dataclasses.replace(trained, train_dir=str(tmp_path / "new"))
    assert srez_demo.demo(config, Stop()) == 0
    assert "(96 frames" in capsys.readouterr().out
    assert (tmp_path / "new" / "demo1.mp4").stat().st_size > 1000


def test_without_the_dataset_the_grids_are_enough(trained, tmp_path, capsys):
    config = dataclasses.replace(trained, train_dir=str(tmp_path / "train"), dataset=str(tmp_path / "gone"))
    colour_grids(tmp_path / "train", {0: (255, 0, 0), 1: (0, 255, 0)}, (256, 128))
    assert srez_demo.demo(config, Stop()) == 0
    assert "no last frame from the checkpoint" in capsys.readouterr().out


@pytest.mark.slow
def test_noise_input_also_gets_a_walk(faces, tmp_path):
    config = quick(faces, tmp_path, max_batches=1, input="noise")
    assert train(config) == 0
    grid = Image.open(tmp_path / "train" / "batch000001_out_l.png")
    assert grid.size == (128, 128)  # two held-out faces; noise and generated
    assert srez_demo.demo(config, Stop()) == 0
    about, frames = read_film(tmp_path / "train" / "demo_interpolation.mp4")
    assert about["size"] == (5 * 128, 2 * 128 + 28)
    assert len(frames) == 240
    steps = [np.abs(a.astype(int) - b.astype(int)).mean() for a, b in itertools.pairwise(frames)]
    assert max(steps) < 5


def test_nothing_to_show_is_said_with_a_remedy(tmp_path):
    with pytest.raises(UserError, match="--run train"):
        srez_demo.demo(Config(**folders(tmp_path)), Stop())


@pytest.mark.parametrize(
    "variable", ["FFMPEG_BINARY", pytest.param("IMAGEIO_FFMPEG_EXE", marks=pytest.mark.slow)]
)
def test_no_film_without_an_ffmpeg_that_encodes_h264(srez, tmp_path, monkeypatch, variable):
    colour_grids(tmp_path / "train", {0: (255, 0, 0)})
    program = tmp_path / "ffmpeg"
    monkeypatch.delenv("FFMPEG_BINARY", raising=False)
    monkeypatch.setenv(variable, str(program))
    remedy = (
        "set FFMPEG_BINARY to one with libx264, or unset it and pip install imageio-ffmpeg, which has it\n"
    )
    done = srez("--run=demo", **folders(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"srez: no film: '{program}' cannot be started ([Errno 2] No such file or")
    assert done.stderr.endswith(f"): {remedy}")
    assert done.stderr.count("\n") == 1
    program.write_text('#!/bin/sh\necho " V....D libx264rgb   H.264"\necho " V....D mpeg4   MPEG-4"\n')
    program.chmod(0o755)
    done = srez("--run=demo", **folders(tmp_path))
    assert done.returncode == 2
    assert done.stderr == f"srez: no film: '{program}' is no ffmpeg with the encoder libx264: {remedy}"
    assert [path.name for path in (tmp_path / "train").iterdir()] == ["batch000000_out_l.png"]


def test_the_command(srez, tmp_path):
    done = srez("--run=demo", **folders(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    colour_grids(tmp_path / "train", {0: (255, 0, 0), 7: (0, 0, 255)})
    done = srez("--run=demo", **folders(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "train" / "demo1.mp4").exists()
