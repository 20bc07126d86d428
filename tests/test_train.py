"""Training as a user runs it: files, resume, signals, refusals, every combination of choices."""

import dataclasses
import itertools
import json
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from helpers import (
    SMALL,
    assert_equal_checkpoints,
    copy_of,
    folders,
    jpeg,
    newest,
    quick,
    read_until,
    start,
    train,
)
from PIL import Image

import srez_train
from srez.errors import UserError
from srez.options.config import Config, fields
from srez.runs.run import Run, read_metrics
from srez.runs.trained import saved_batches
from srez_model import Gan

CHOICES = {
    "loss_func": ("dcgan", "wgan", "wgangp"),
    "gen_architect": ("deconv", "resnet"),  # of equals pairwise takes the first, which is the quicker
    "critic_norm": ("batch", "layer", "none"),
    "gen_norm": (0, 1),
    "optimizer": ("adam", "rmsprop"),
    "input": ("scaled", "noise"),
}


# ---- the contract ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(srez, faces, tmp_path_factory) -> Path:
    """Twenty batches in one go."""
    root = tmp_path_factory.mktemp("whole")
    done = srez("--run=train", "--deterministic", dataset=faces, max_batches=20, **SMALL, **folders(root))
    (root / "screen.txt").write_text(done.stdout)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return root


def test_files_of_a_training(whole):
    names = {p.name for p in (whole / "train").iterdir()}
    for batch in (0, 10, 20):
        assert f"batch{batch:06d}_out_l.png" in names
        assert Image.open(whole / "train" / f"batch{batch:06d}_out_l.png").size == (256, 640)
        assert Image.open(whole / "train" / f"gen_batch{batch:06d}_out_s.png").size == (640, 64)
    assert {"srez-20.index", "config.json", "metrics.jsonl"} <= {
        p.name for p in (whole / "checkpoint").iterdir()
    }
    lines = read_metrics(str(whole / "checkpoint" / "metrics.jsonl"))
    assert [line["batch"] for line in lines] == [0, 10, 20]
    assert {"psnr", "ssim", "consistency", "l1_quality", "mse_quality"} <= lines[0].keys()
    assert {"lpips", "swd", "diversity", "heldout_wasserstein_estimate"} <= lines[0].keys()
    measured_once = [{name for name in line if name.startswith("bicubic_")} for line in lines]
    assert [len(names) for names in measured_once] == [5, 0, 0]
    assert ", lpips 0." in (whole / "screen.txt").read_text()
    assert {"generator_gradient_norm", "discriminator_gradient_norm"} <= lines[1].keys()
    assert {"generator_loss", "discriminator_tot_loss", "wasserstein_estimate", "psnr"} <= lines[1].keys()
    config = json.loads((whole / "checkpoint" / "config.json").read_text())
    assert config["options"]["width"] == 0.125
    assert config["versions"]["tensorflow"] == tf.__version__


def test_the_line_of_2017(whole):
    line = next(t for t in (whole / "screen.txt").read_text().splitlines() if t.startswith("Progress[ 50%]"))
    for part in ("ETA[", "m], Batch [  10], G_Loss[", "], D_Real_Loss[", "], D_Fake_Loss[", "images/s["):
        assert part in line


def test_grid_columns(whole, faces):
    """Nearest, bicubic and truth of the first held-out face, from the picture file."""
    grid = np.asarray(Image.open(whole / "train" / "batch000010_out_l.png")).astype(float)
    face = np.asarray(Image.open(Path(faces) / "000045.jpg"))[60:188, 25:153].astype(float)
    label = face.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(grid[:64, 192:], label, atol=0.51)
    feature = label.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(grid[:64, :64], feature.repeat(4, 0).repeat(4, 1), atol=0.51)
    # half-pixel centres: Pillow's bicubic has them as well (and the same cubic, a = -0.5)
    planes = [
        Image.fromarray(feature[..., c].astype(np.float32)).resize((64, 64), Image.BICUBIC) for c in range(3)
    ]
    bicubic = np.clip(np.stack([np.asarray(p) for p in planes], -1), 0, 255)
    np.testing.assert_allclose(grid[:64, 64:128], bicubic, atol=1.0)


def test_tensorboard_tags(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(whole / "summary")).Reload()
    tags = set(events.Tags()["tensors"])
    of_2017 = {
        *("generator_loss", "discriminator_real_loss", "discriminator_fake_loss", "discriminator_tot_loss"),
        *("l1_quality", "mse_quality", "generator_output"),
    }
    groups = {tag.split("/")[0] for tag in tags - of_2017}
    assert of_2017 < tags
    assert groups == {"loss", "quality", "critic", "speed", "_hparams_"}
    assert all(events.SummaryMetadata(tag).summary_description for tag in tags if tag[0] != "_")
    lines = read_metrics(str(whole / "checkpoint" / "metrics.jsonl"))
    psnr = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("quality/psnr")]
    np.testing.assert_allclose(psnr, [line["psnr"] for line in lines], rtol=1e-6)


def test_ten_and_ten_more_are_twenty_with_a_signal_between(spawn, faces, whole, tmp_path):
    """The signal stops it after a batch, and the same command goes on: three processes end as one does."""
    process = start(spawn, faces, tmp_path, max_batches=10, log_period=1)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert newest(tmp_path / "checkpoint")["batch/.ATTRIBUTES/VARIABLE_VALUE"] == 10
    process = start(spawn, faces, tmp_path, max_batches=20, log_period=1)
    read_until(process, "continuing after batch 10")
    read_until(process, "Batch [  12]")
    process.send_signal(signal.SIGTERM)  # the others: test_survival.py
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (75, "")
    done = int(re.search(r"SIGTERM: stopped after batch (\d+), saved", out)[1])
    assert 12 <= done < 20
    assert newest(tmp_path / "checkpoint")["batch/.ATTRIBUTES/VARIABLE_VALUE"] == done
    process = start(spawn, faces, tmp_path, max_batches=20, log_period=1)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert f"continuing after batch {done}" in out
    assert_equal_checkpoints(whole / "checkpoint", tmp_path / "checkpoint")
    lines = read_metrics(str(tmp_path / "checkpoint" / "metrics.jsonl"))
    assert [line["batch"] for line in lines] == list(range(21))
    for batch in (0, 10, 20):
        name = f"train/batch{batch:06d}_out_l.png"
        assert (whole / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_signal_before_the_first_batch_leaves_at_once(spawn, faces, tmp_path):
    process = start(spawn, faces, tmp_path, max_batches=20)
    time.sleep(1.5)
    sent = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "SIGTERM" in err
    assert time.monotonic() - sent < 10
    assert not list((tmp_path / "checkpoint").glob("*.index"))


# ---- resume and its refusals -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(faces, tmp_path_factory) -> Config:
    """A run of two batches; not to be changed."""
    config = quick(faces, tmp_path_factory.mktemp("finished"), log_period=1)
    assert train(config) == 0
    return config


@pytest.fixture
def copy(finished, tmp_path) -> Config:
    """The same in a folder of its own."""
    return copy_of(finished, tmp_path)


def test_a_finished_run_says_how_to_extend_it(copy, capsys):
    before = newest(copy.checkpoint_dir)
    assert train(copy) == 0
    out = capsys.readouterr().out
    assert "--max_batches=2 is reached" in out
    assert "continuing" not in out
    assert before["batch/.ATTRIBUTES/VARIABLE_VALUE"] == 2
    assert train(dataclasses.replace(copy, max_batches=3)) == 0
    assert newest(copy.checkpoint_dir)["batch/.ATTRIBUTES/VARIABLE_VALUE"] == 3


FIXED = {
    "start_from": "pretrained",
    **{"input": "noise", "scale_factor": 2, "sample_size": 128, "noise_dimension": 8, "width": 0.0625},
    **{"gen_architect": "resnet", "gen_norm": 0, "critic_norm": "layer", "optimizer": "rmsprop"},
    **{"loss_func": "wgan", "precision": "bfloat16", "random_seed": 1, "batch_size": 4, "critic_iters": 2},
    **{"gene_ema": 0.9, "learning_rate_schedule": "constant", "learning_rate_batches": 5, "degrade": "photo"},
}


def test_these_are_the_fixed_options():
    assert {f.name for f in fields() if f.metadata["fixed"]} == set(FIXED)


@pytest.mark.parametrize("name", FIXED)
def test_resume_is_refused_where_networks_or_stream_differ(finished, name):
    before = newest(finished.checkpoint_dir)
    changed = dataclasses.replace(finished, **{name: FIXED[name]})
    was = {"dcgan": "gan"}.get(getattr(finished, name), getattr(finished, name))
    with pytest.raises(UserError, match=f"{name} was {was}, now {FIXED[name]}") as error:
        Run(changed).open()
    assert "--noresume" in str(error.value)
    assert newest(finished.checkpoint_dir).keys() == before.keys()


def test_resume_is_refused_with_other_pictures(finished, faces, tmp_path):
    (tmp_path / "one.jpg").write_bytes(jpeg(1))
    (tmp_path / "two.jpg").write_bytes(jpeg(2))
    (tmp_path / "three.jpg").write_bytes(jpeg(3))
    with pytest.raises(UserError, match="dataset had 60 pictures, now 3"):
        train(dataclasses.replace(finished, dataset=str(tmp_path), max_batches=3))


def test_other_changes_are_allowed_and_told(copy, capsys):
    assert train(dataclasses.replace(copy, max_batches=3, learning_rate_start=1e-5, LAMBDA=5.0)) == 0
    out = capsys.readouterr().out
    assert "changed since: --learning_rate_start was 0.0001, now 1e-05" in out
    assert "changed since: --LAMBDA was 10.0, now 5.0" in out


def test_noresume_moves_the_three_folders_aside_together(copy, tmp_path):
    (tmp_path / "train.1").mkdir()  # so that 1 is not free for all
    again = dataclasses.replace(copy, resume=False)
    Run(again).open()
    for name in ("train", "checkpoint", "summary"):
        assert (tmp_path / f"{name}.2").is_dir()
        assert [p.name for p in (tmp_path / name).iterdir()] == [".srez"]
    assert (tmp_path / "checkpoint.2" / "srez-2.index").exists()
    Run(again).open()  # nothing there yet: nothing moves
    assert not (tmp_path / "train.3").exists()


def test_noresume_leaves_folders_of_others_alone(faces, tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "thesis.tex").write_text("years of work")
    config = quick(faces, tmp_path, max_batches=1)
    train(config)
    Run(dataclasses.replace(config, resume=False)).open()
    assert (tmp_path / "train" / "thesis.tex").exists()
    assert (tmp_path / "checkpoint.1" / "srez-1.index").exists()


def test_lines_beyond_the_checkpoint_are_written_again(copy, tmp_path):
    metrics = tmp_path / "checkpoint" / "metrics.jsonl"
    with metrics.open("a") as file:
        file.write('{"batch": 3, "generator_loss": 9}\n{"batch": 4, "gener')
    assert train(dataclasses.replace(copy, max_batches=4)) == 0
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [line["batch"] for line in lines] == [0, 1, 2, 3, 4]
    assert lines[3]["generator_loss"] != 9


def test_a_checkpoint_without_config_is_refused(finished, tmp_path):
    config = dataclasses.replace(finished, **folders(tmp_path))
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "srez-2.index").write_text("")
    with pytest.raises(UserError, match=r"has no config\.json"):
        Run(config).open()


# ---- divergence ------------------------------------------------------------------------------------


def test_divergence_is_named_and_leaves_the_last_good_checkpoint(copy, capsys, monkeypatch):
    """It is noticed at the next line of figures, every log_period batches."""
    whole, trained = srez_train.train_batch, []
    monkeypatch.setattr(srez_train, "train_batch", lambda *args: (trained.append(args[-1]), whole(*args))[1])
    good = newest(copy.checkpoint_dir)
    wild = dataclasses.replace(copy, max_batches=50, log_period=4, learning_rate_start=1e30)
    assert train(wild) == 3
    out = capsys.readouterr().out
    assert "diverged: " in out
    first = int(re.search(r"was not finite at batch (\d+)", out)[1])
    assert trained[0] == 3
    assert trained[-1] % 4 == 0
    assert trained[-1] - 4 < first <= trained[-1] < 50
    assert "the checkpoint of batch 2 is good" in out
    left = newest(copy.checkpoint_dir)
    assert left.keys() == good.keys()
    assert all(np.array_equal(good[name], left[name]) for name in good)


# ---- all choices -----------------------------------------------------------------------------------


def pairwise(choices: dict[str, tuple]) -> list[dict]:
    """A few combinations that contain every pair of values of two options, chosen greedily."""
    names = list(choices)
    every = [dict(zip(names, values, strict=True)) for values in itertools.product(*choices.values())]

    def pairs(one: dict) -> set:
        return {(a, one[a], b, one[b]) for a, b in itertools.combinations(names, 2)}

    missing = set().union(*map(pairs, every))
    chosen = []
    while missing:
        chosen.append(max(every, key=lambda one: len(pairs(one) & missing)))
        missing -= pairs(chosen[-1])
    return chosen


EVERY = [dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())]
NEWER = {
    "loss_func": (*CHOICES["loss_func"], "lsgan", "hinge"),
    "critic_norm": (*CHOICES["critic_norm"], "spectral"),
}
PAIRS = pairwise(CHOICES | NEWER)


def name_of(one: dict) -> str:
    return "-".join(map(str, one.values()))


def trains(faces: str, tmp_path: Path, one: dict) -> None:
    config = quick(faces, tmp_path, max_batches=3, **one)
    assert train(config) == 0
    lines = read_metrics(str(tmp_path / "checkpoint" / "metrics.jsonl"))
    assert lines[-1]["batch"] == 3
    assert np.isfinite(lines[-1]["generator_loss"])


@pytest.mark.slow  # each option by itself: tests/options/test_options.py
@pytest.mark.parametrize("one", PAIRS, ids=name_of)
def test_every_pair_of_choices_trains(faces, tmp_path, one):
    trains(faces, tmp_path, one)


@pytest.mark.slow
@pytest.mark.parametrize("one", EVERY, ids=name_of)
def test_all_144_combinations_train(faces, tmp_path, one):
    assert len(EVERY) == 144
    trains(faces, tmp_path, one)


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bfloat16", "gen_architect": "resnet"},
        pytest.param({"precision": "float16", "gen_architect": "resnet"}, marks=pytest.mark.slow),
        pytest.param({"critic_iters": 3}, marks=pytest.mark.slow),
        {"critic_iters": 0, "gen_architect": "deconv_projected"},
    ],
)
def test_precisions_and_critic_steps_train(faces, tmp_path, options):
    trains(faces, tmp_path, {"loss_func": "wgangp", **options})


# ---- odds and ends ---------------------------------------------------------------------------------


def test_dry_run_trains_nothing(srez, faces, tmp_path):
    options = SMALL | folders(tmp_path) | {"max_batches": 88, "learning_rate_half_life": 12}
    done = srez("--run=train", "--dry_run", dataset=faces, **options)
    assert done.returncode == 0
    assert "--width=0.125" in done.stdout
    assert "generator: 61,161 parameters" in done.stdout
    assert "critic: 65,929 parameters" in done.stdout
    assert "44 pictures to train on, 16 held out" in done.stdout
    assert "after batch 84 the learning rate is under a hundredth of its start: further" in done.stdout
    assert "memory that training takes on a GPU: about " in done.stdout
    assert "planned: 88 batches of 16 pictures, 32.0 times the dataset" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_start_tells_how_to_frame_faces_and_changes_nothing(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for side in (300, 400, 500, 600, 700):
        portrait = Image.fromarray(skimage.data.astronaut()).resize((side, side))
        portrait.save(folder / f"{side}.png")
    told = quick(str(folder), tmp_path / "told")
    for run, times in ((srez_train.dry_run, 1), (train, 1), (train, 0)):  # the last goes on
        assert run(told) == 0
        assert capsys.readouterr().out.count(f"download_data.py --align {folder} --align_to ") == times
    monkeypatch.setattr(srez_train, "advise", lambda config, names: "")
    assert train(quick(str(folder), tmp_path / "silent")) == 0
    assert_equal_checkpoints(tmp_path / "told" / "checkpoint", tmp_path / "silent" / "checkpoint")


def test_train_time_counts_all_sessions(faces, tmp_path):
    config = quick(faces, tmp_path, max_batches=0, train_time=0.05)
    assert train(config) == 0
    reader = tf.train.load_checkpoint(config.checkpoint_dir)
    minutes = reader.get_tensor("minutes/.ATTRIBUTES/VARIABLE_VALUE")
    assert 0.05 <= minutes < 1
    assert train(config) == 0  # used up: not another batch
    assert tf.train.latest_checkpoint(config.checkpoint_dir) == str(
        tmp_path / "checkpoint" / f"srez-{newest(config.checkpoint_dir)['batch/.ATTRIBUTES/VARIABLE_VALUE']}"
    )


def test_remote_folders(faces):
    names = {f"{name}_dir": f"ram://run/{name}" for name in ("train", "checkpoint", "summary")}
    config = dataclasses.replace(quick(faces, Path("unused")), **names)
    assert train(config) == 0
    assert train(dataclasses.replace(config, max_batches=3)) == 0
    assert tf.io.gfile.exists("ram://run/train/batch000003_out_l.png")
    assert [line["batch"] for line in read_metrics("ram://run/checkpoint/metrics.jsonl")] == [0, 2, 3]


def test_one_truncated_picture_is_skipped_by_name(srez, faces, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(1, 21):
        data = (Path(faces) / f"{i:06d}.jpg").read_bytes()
        (pictures / f"{i:02d}.jpg").write_bytes(data[: len(data) // 3] if i == 3 else data)
    done = srez(
        *("--run=train", "--gen_architect=deconv"), dataset=str(pictures), max_batches=3, width=0.03125,
        test_vectors=4, **folders(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0
    assert "03.jpg" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "1 pictures cannot be used (image file is truncated" in done.stdout
    assert "replaced by others" in done.stdout


def test_weights_that_one_update_has_ruined_are_not_saved(faces, tmp_path, capsys):
    """Every loss and gradient is finite, the update is too: 100 for each weight."""
    config = quick(faces, tmp_path, max_batches=2)
    assert train(config) == 0
    wild = dataclasses.replace(config, max_batches=3, learning_rate_start=100.0)
    assert train(wild) == 3
    told = capsys.readouterr().out
    said = re.search(r"diverged: the norm of the weights is ([\d.e+]+) times that of the last checkp", told)
    assert (
        "last checkpoint at batch 3; the checkpoint of batch 2 is good. Lower --learning_rate_start" in told
    )
    assert float(said[1]) > 100
    assert saved_batches(config.checkpoint_dir) == [2]
    assert train(dataclasses.replace(config, max_batches=3)) == 0
    assert saved_batches(config.checkpoint_dir) == [2, 3]


def test_networks_whose_pictures_are_not_finite_are_not_saved(faces, tmp_path, monkeypatch, capsys):
    sample, seen = Gan.sample, []

    def ruined(self, feature):
        seen.append(feature)
        return sample(self, feature) * (1 if len(seen) == 1 else np.nan)  # the first: before the training

    monkeypatch.setattr(Gan, "sample", ruined)
    config = quick(faces, tmp_path, max_batches=1)
    assert train(config) == 3
    assert (
        "diverged: the output for held-out faces is not finite at batch 1; no checkpoint had been saved"
        in (capsys.readouterr().out)
    )
    assert saved_batches(config.checkpoint_dir) == []
