"""Films: of the grids, of the checkpoints, between noise points."""

import dataclasses
import itertools
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from helpers import folders, quick, train
from PIL import Image

import srez_demo
from srez.errors import UserError
from srez.options.config import Config


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
    assert srez_demo.demo(Config(**folders(tmp_path))) == 0
    about, frames = read_film(tmp_path / "train" / "demo1.mp4")
    assert about["codec"] == "h264"
    assert "yuv420p" in about["pix_fmt"]
    assert about["size"] == (256, 640)
    assert 3 <= about["duration"] <= 10
    strongest = [int(frame.mean(axis=(0, 1)).argmax()) for frame in frames]
    assert strongest == sorted(strongest)
    assert set(strongest) == {0, 1, 2}
    assert strongest.count(2) > strongest.count(1) > 12
    assert [p.name for p in (tmp_path / "train").iterdir() if "tmp" in p.name] == []


def test_many_grids_make_a_film_of_some_seconds_too():
    for count in (1, 2, 5, 50, 500):
        seconds = srez_demo.durations(count)
        assert len(seconds) == count
        assert min(seconds) >= 1 / 24 - 1e-9
        assert 2 <= sum(seconds) <= max(9, count / 24 + 3)


def test_grids_of_another_size_and_damaged_ones_are_left_out(tmp_path, capsys):
    colour_grids(tmp_path / "train", {0: (9, 9, 9), 5: (9, 9, 9)}, (128, 640))
    colour_grids(tmp_path / "train", {10: (0, 0, 255), 20: (0, 0, 255)}, (255, 641))
    (tmp_path / "train" / "batch000015_out_l.png").write_bytes(b"half a file")
    assert srez_demo.demo(Config(**folders(tmp_path))) == 0
    about, _ = read_film(tmp_path / "train" / "demo1.mp4")
    assert about["size"] == (256, 642)
    out = capsys.readouterr().out
    assert "2 grids of another size left out" in out
    assert "batch000015_out_l.png" in out


def test_the_last_frame_comes_from_the_newest_checkpoint(trained, tmp_path):
    config = dataclasses.replace(trained, train_dir=str(tmp_path / "train"))
    expected = Image.open(Path(trained.train_dir) / "batch000003_out_l.png")
    colour_grids(tmp_path / "train", {0: (255, 0, 0), 1: (0, 255, 0)}, expected.size)
    srez_demo.demo(config)
    _, frames = read_film(tmp_path / "train" / "demo1.mp4")
    off = [np.abs(frame.astype(int) - np.asarray(expected).astype(int)).mean() for frame in frames]
    assert off[-1] < 6  # yuv420p and H.264 are not exact
    assert off[0] > 40


def test_without_grids_the_frames_come_from_the_checkpoints(trained, tmp_path, capsys):
    config = dataclasses.replace(trained, train_dir=str(tmp_path / "new"))
    assert srez_demo.demo(config) == 0
    assert "(3 frames" in capsys.readouterr().out
    assert (tmp_path / "new" / "demo1.mp4").stat().st_size > 1000


def test_without_the_dataset_the_grids_are_enough(trained, tmp_path, capsys):
    config = dataclasses.replace(trained, train_dir=str(tmp_path / "train"), dataset=str(tmp_path / "gone"))
    colour_grids(tmp_path / "train", {0: (255, 0, 0), 1: (0, 255, 0)}, (256, 128))
    assert srez_demo.demo(config) == 0
    assert "no last frame from the checkpoint" in capsys.readouterr().out


@pytest.mark.slow
def test_noise_input_also_gets_a_walk(faces, tmp_path):
    config = quick(faces, tmp_path, max_batches=1, input="noise")
    assert train(config) == 0
    grid = Image.open(tmp_path / "train" / "batch000001_out_l.png")
    assert grid.size == (128, 128)  # two held-out faces; noise and generated
    assert srez_demo.demo(config) == 0
    about, frames = read_film(tmp_path / "train" / "demo_interpolation.mp4")
    assert about["size"] == (320, 128)
    assert abs(len(frames) - srez_demo.WALK_STOPS * srez_demo.WALK_STEPS) <= 1
    steps = [np.abs(a.astype(int) - b.astype(int)).mean() for a, b in itertools.pairwise(frames)]
    assert max(steps) < 5


def test_nothing_to_show_is_said_with_a_remedy(tmp_path):
    with pytest.raises(UserError, match="--run train"):
        srez_demo.demo(Config(**folders(tmp_path)))


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
