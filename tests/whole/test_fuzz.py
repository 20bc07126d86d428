"""Bad input by the hundred: none may end in a traceback, a hang or a half answer.

By default the same examples every time, in seconds; `--slow` tries many more. What was found has a test with
a fixed example beside the search that found it.
"""

import contextlib
import dataclasses
import functools
import io
import json
import os
import signal
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from absl import flags
from helpers import jpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import download_data
import srez_main
import srez_train
from srez.data.dataset import open_dataset
from srez.data.pack import Pack
from srez.data.portraits import read_face
from srez.data.sources import Framing
from srez.download import unpack
from srez.download.fetch import Archive
from srez.errors import UserError
from srez.images import find
from srez.images import picture as pictures
from srez.images.picture import ENDINGS, UnusablePicture, decode
from srez.options import flags as flags_module
from srez.options import rules
from srez.options.config import Config, fields, to_dict
from srez.options.flags import define_flags, given_options, parse
from srez.options.rules import out_of_range
from srez.options.stored import from_dict
from srez.runs.run import Run, read_metrics
from srez.runs.trained import load_config, read_description
from srez.system.signals import Stop
from srez.training.checkpoints import Checkpoints
from srez_input import batches
from srez_model import Gan

LONGEST = 60  # seconds for one example; a hang is longer


def often(quick: int, slow: int) -> pytest.MarkDecorator:
    """How many examples by default and with --slow."""
    return pytest.mark.parametrize("examples", [quick, pytest.param(slow, marks=pytest.mark.slow)])


def fuzz(examples: int, check: Callable, *strategies: st.SearchStrategy) -> Counter:
    """Try a check on many values; how often it returned what."""
    seen: Counter = Counter()

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.tuples(*strategies))
    def one(values: tuple) -> None:
        signal.alarm(LONGEST)
        seen[check(*values)] += 1
        signal.alarm(0)

    one()
    return seen


def attempt(call: Callable, *expected: type[Exception]) -> tuple[object, str]:
    """What a call gives and no reason, or nothing and the text of an expected error; others go through."""
    try:
        return call(), ""
    except expected as error:
        assert str(error)  # noqa: PT017  (a reason is part of the promise)
        return None, str(error)


@pytest.fixture(autouse=True)
def no_hang():
    """SIGALRM becomes an error in the test."""

    def ring(*_: object) -> None:
        raise AssertionError(f"hangs: {LONGEST} s are over")

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# ---- the command line ------------------------------------------------------------------------------


class Begun(Exception):
    """A run would begin here."""


def command(*words: str) -> tuple[int, str, Config | None]:
    """srez_main.main up to where a run would begin: exit code, standard error, the run's options."""
    values, reached, said = flags.FlagValues(), [], io.StringIO()

    def begin(config: Config, *_: object) -> int:
        reached.append(config)
        raise Begun

    with (
        mock.patch.object(flags_module, "define_flags", functools.partial(define_flags, values)),
        mock.patch.object(flags_module, "given_options", side_effect=lambda *_: given_options(values)),
        mock.patch.object(flags_module, "parse", functools.partial(parse, values=values)),
        mock.patch.object(flags_module, "verbose", return_value=False),
        mock.patch.object(srez_main, "start_tensorflow", begin),
        mock.patch.dict(srez_main.MODES, study=begin, report=begin),  # without TensorFlow
        mock.patch.object(srez_main, "Stop", mock.Mock()),
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            code = srez_main.main(["srez_main.py", *words])
        except Begun:
            code = 0
    return code, said.getvalue(), reached[0] if reached else None


def assert_good_answer(words: list[str]) -> int:
    """Refused in one line, or accepted with options that survive config.json; the exit code."""
    code, said, config = command(*words)
    if code == 0:
        assert said == ""
        if config is not None:  # help needs none
            assert all(not out_of_range(getattr(config, f.name), f.metadata) for f in fields())
            assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
        return 0
    assert code == 2
    assert config is None
    assert said.startswith("srez: ")
    assert len(said) < 1100
    assert said[:-1].isprintable(), said
    assert said[-1] == "\n"
    return 2


# without '/': the examples make folders
TEXT = st.text(st.characters(exclude_characters="/"), max_size=40)
ODD = (
    *("", " ", "\n", "\0", "a\nb", "a\0b", "\x1b[31m", "\ud800", "🙂", "é", ".", "..", "=", "-", "--", "---"),
    *("nan", "inf", "-inf", "-0", "-0.0", "1e400", "1e308", "5e-324", "0x10", "0b1", "1_000", "1e3", "+1"),
    *("٣", "²", "None", "null", "true", "False", "0", "-1", "1", str(2**31), str(2**63), "1" + "0" * 400),
    *("9" * 5000, "a" * 5000, "%s", "{}", "*", "[", "**", "$HOME", "~", "gs:", "x.pack", "bad.pack", "old"),
    *("pictures", "empty", "texts", "synthetic", "newest", "1/0", "0/1", "a,b", ",", "png,", "pictures,"),
    *("bad.flags", "self.flags", "good.flags", "config.json", "a_file"),
)
ANY_VALUE = st.one_of(
    st.sampled_from(ODD), TEXT, st.integers().map(str), st.floats().map(repr), st.integers(-3, 300).map(str)
)


def good_value(f: dataclasses.Field) -> st.SearchStrategy[str]:
    """Values that an option takes, by itself."""
    m = f.metadata
    if m["choices"] is not None:
        return st.sampled_from(m["choices"]).map(str)
    if f.type is bool:
        return st.sampled_from(("true", "false", "1", "0"))
    if f.type in (int, float):
        bounds = m["bounds"]
        low = bounds.get("low", bounds.get("above", 0))
        high = bounds.get("high", bounds.get("below", low + 10_000))
        return (st.integers if f.type is int else st.floats)(low, high).map(str)
    return st.sampled_from(("pictures", "synthetic", "some", "old", "new folder", "é"))


OPTIONS = st.sampled_from(fields())
FORMS = ("--{}={}", "-{}={}", "--{}\n{}", "--no{}", "--no{}={}", "--{}")
GOOD_WORDS = OPTIONS.flatmap(lambda f: good_value(f).map(lambda value: [f"--{f.name}={value}"]))
NAMES = st.one_of(
    OPTIONS.map(lambda f: f.name), TEXT, st.sampled_from(("flagfile", "undefok", "help", "h", "helpfull"))
)
ANY_WORDS = st.one_of(
    st.tuples(st.sampled_from(FORMS), NAMES, ANY_VALUE).map(lambda t: t[0].format(*t[1:]).split("\n", 1)),
    ANY_VALUE.map(lambda value: [value]),
)
RUNS = [["--run=train"], ["--run=train", "--dataset=pictures"], ["--run=train", "--dry_run"], []]
RUNS += [[f"--run={run}", "--checkpoint_dir=old", "--images=pictures"] for run in srez_main.MODES]
LINES = st.tuples(
    st.sampled_from(RUNS), st.lists(st.one_of(GOOD_WORDS, GOOD_WORDS, GOOD_WORDS, ANY_WORDS), max_size=4)
).map(lambda t: [*t[0], *(word for words in t[1] for word in words)])


@pytest.fixture
def somewhere(tmp_path, monkeypatch) -> Path:
    """A folder to be in, with things that options may name."""
    here = tmp_path / "deep" / "er"
    for folder in ("empty", "texts", "pictures", "dataset", "old", "some"):
        (here / folder).mkdir(parents=True)
    (here / "texts" / "a.txt").write_text("no picture")
    (here / "pictures" / "a.png").write_bytes(b"")
    (here / "dataset" / "a.png").write_bytes(b"")
    (here / "a_file").write_text("")
    (here / "bad.pack").write_bytes(b"srez pack 1\n" + bytes(48))
    (here / "bad.flags").write_bytes(b"--width=\xff\xfe\n\0--run\n")
    (here / "self.flags").write_text("--flagfile=self.flags\n")
    (here / "good.flags").write_text("--width=0.5\n# comment\n\n--max_batches=3\n")
    (here / "old" / "srez-5.index").write_text("")
    content = {"options": {}, "dataset": {"fingerprint": "x", "pictures": 1}}
    (here / "old" / "config.json").write_text(json.dumps(content))
    monkeypatch.chdir(here)
    return here


@often(400, 6_000)
def test_any_command_line_is_refused_in_one_line_or_accepted(somewhere, examples):
    seen = fuzz(examples, assert_good_answer, LINES)
    assert seen[0] > examples / 10
    assert seen[2] > examples / 10


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--run=train", "--max_batches=1" + "0" * 400], "--max_batches=1000"),  # no float holds it
        (["--run=train", "--batch_size=2147483648"], "at most 2147483647"),
        (["--run=a\nb"], "--run=a\\nb: must be one of"),
        (["--dataset=a\x1b[31m"], "a\\x1b[31m"),
        (["--train_dir=a\0b"], "must be a name"),
        (["--flagfile=bad.flags"], "decode"),
        (["--run=eval", "--checkpoint_dir=old", "--checkpoint=²"], "no checkpoint '²'"),
        (["--run=eval", "--checkpoint_dir=old", "--checkpoint=" + "9" * 5000], "it has those of batches 5"),
        (["--run=" + "x" * 100_000], "xxx ... "),
    ],
    ids=lambda value: str(value)[:40].encode("unicode_escape").decode(),
)
def test_what_was_found_in_command_lines(somewhere, words, says):
    code, said, _ = command(*([] if words[0].startswith("--run") else ["--run=train"]), *words)
    assert code == 2
    assert says in said
    assert said.count("\n") == 1
    assert len(said) < 1100


def test_drawn_faces_that_are_too_small_are_one_line():
    with pytest.raises(UserError, match="178x218 is too small for a crop of 1000x1000"):
        open_dataset(Config(dataset="synthetic", crop_size=1000))


# ---- pictures --------------------------------------------------------------------------------------


def file_of(picture: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def seeds() -> dict[str, bytes]:
    """Small good files of every kind that is read."""
    face = Image.open(io.BytesIO(jpeg(3))).resize((40, 32))
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(np.arange(32 * 40, dtype=np.uint16).reshape(32, 40) * 50)
    kinds = {"JPEG": {}, "PNG": {}, "WEBP": {}, "BMP": {}, "GIF": {}, "TIFF": {}, "HEIF": {}, "AVIF": {}}
    return {format.lower(): file_of(face, format, **options) for format, options in kinds.items()} | {
        "progressive": file_of(face, "JPEG", progressive=True),
        "turned": file_of(face, "JPEG", exif=turned),
        "cmyk": file_of(face.convert("CMYK"), "JPEG"),
        "deep": file_of(deep, "PNG"),
        "palette": file_of(face.quantize(8), "PNG", transparency=1),
        "clear": file_of(face.convert("RGBA"), "WEBP", lossless=True),
        "film": file_of(face, "GIF", save_all=True, append_images=[face.rotate(90)]),
    }


SEEDS = seeds()
NUMBERS = st.sampled_from((0, 1, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 100_000, 30_000))
PLACE = st.floats(0, 1, exclude_max=True)  # share of the file, or of its beginning


@st.composite
def damaged(draw: st.DrawFn, good: st.SearchStrategy[bytes]) -> bytes:
    """A file with bytes turned, cut off, put in, or numbers in its head replaced by large ones."""
    data = bytearray(draw(good))
    for _ in range(draw(st.integers(1, 6))):
        within = min(len(data), draw(st.sampled_from((32, 200, len(data)))))
        place = int(draw(PLACE) * within)
        match draw(st.sampled_from(("turn", "turn", "number", "cut", "put", "swap"))):
            case "turn":
                data[place : place + 1] = bytes([draw(st.integers(0, 255))])
            case "number":
                form = draw(st.sampled_from((">I", "<I", ">H", "<H")))
                data[place : place + struct.calcsize(form)] = struct.pack(
                    form, draw(NUMBERS) & (2 ** (8 * struct.calcsize(form)) - 1)
                )
            case "cut":
                del data[place : place + draw(st.sampled_from((1, 2, 4, 100, len(data))))]
            case "put":
                data[place:place] = draw(st.binary(max_size=20))
            case "swap":
                data[place:place] = data[: draw(st.integers(0, 40))]
    return bytes(data)


def png_sums_mended(data: bytes) -> bytes:
    """A damaged PNG whose chunks have right checksums again, so that it is read further."""
    mended, place = bytearray(data), 8
    while place + 12 <= len(mended):
        size = struct.unpack(">I", mended[place : place + 4])[0]
        end = place + 8 + size
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = struct.pack(">I", zlib.crc32(mended[place + 4 : end]))
        place = end + 4
    return bytes(mended)


PICTURES = damaged(st.sampled_from(list(SEEDS.values())))
PICTURES = st.one_of(PICTURES, PICTURES.map(lambda d: png_sums_mended(d) if d[1:4] == b"PNG" else d))


def read_everywhere(data: bytes) -> tuple[bool, ...]:
    """Whether each way of reading a picture gives one; what it gives is as promised, or there is a reason."""
    plain, _ = attempt(lambda: decode(data), ValueError)
    if plain is not None:
        assert (plain.dtype, plain.ndim, plain.shape[2]) == (np.uint8, 3, 3)
    window, _ = attempt(lambda: Framing(size=24, wiggle=2).window(decode(data)), UnusablePicture)
    if window is not None:
        assert (window.dtype, window.ndim, window.shape[2]) == (np.uint8, 3, 3)
        assert 24 <= min(window.shape[:2]) <= max(window.shape[:2]) <= 28
    picture, _ = attempt(lambda: pictures.read(data), ValueError)
    if picture is not None:
        assert picture.rgb.dtype == (np.uint16 if picture.mode == "I;16" else np.uint8)
        assert (picture.rgb.ndim, picture.rgb.shape[2]) == (3, 3)
        assert picture.alpha is None or picture.alpha.shape == picture.rgb.shape[:2]
        assert picture.flatten().shape == picture.rgb.shape
        for format in ENDINGS if picture.rgb.size < 100_000 else ():
            Image.open(io.BytesIO(picture.encode(picture.rgb, format))).load()
    face, _ = attempt(lambda: read_face(data, Config(crop_size=64), 8), ValueError)
    if face is not None:
        assert face.rgb.dtype == np.uint8
        assert face.rgb.shape[0] == face.rgb.shape[1] >= 8
    return tuple(found is not None for found in (plain, window, picture, face))


@often(400, 8_000)
def test_damaged_pictures_are_read_or_refused_with_a_reason(examples):
    seen = fuzz(examples, read_everywhere, PICTURES)
    for way in range(3):
        read = sum(n for found, n in seen.items() if found[way])
        assert examples / 20 < read < examples, way


@pytest.mark.parametrize("name", SEEDS)
def test_the_good_files_are_read(name):
    assert read_everywhere(SEEDS[name])[:3] == (True, True, True)


@often(25, 500)
def test_a_folder_with_damaged_pictures_trains_on_the_others(tmp_path, examples):
    good = jpeg(1)
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(good)
    config = Config(dataset=str(tmp_path), batch_size=4, test_vectors=1)
    kinds = st.sampled_from([file_of(Image.open(io.BytesIO(good)), kind) for kind in ("JPEG", "PNG", "WEBP")])

    def check(one: bytes, other: bytes) -> int:
        (tmp_path / "2.png").write_bytes(one)
        (tmp_path / "7.webp").write_bytes(other)
        dataset = open_dataset(config)
        batch = batches(dataset, [0], 14)[0]
        assert batch.label.shape == (14, 64, 64, 3)
        assert batch.feature.shape == (14, 16, 16, 3)
        assert 0 <= np.min(batch.label) <= np.max(batch.label) <= 1
        assert set(dataset.damaged) <= {3, 7}  # where the two come in the order of names
        return len(dataset.damaged)

    seen = fuzz(examples, check, damaged(kinds), damaged(kinds))
    assert seen[2] + seen[1] > examples / 3


@often(60, 1_500)
def test_a_check_of_damaged_pictures_names_them(tmp_path, examples):
    def check(data: bytes) -> int:
        (tmp_path / "a.jpg").write_bytes(data)
        (tmp_path / "b.jpg").write_bytes(SEEDS["jpeg"])
        said, out = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(out):
            code = download_data.main(["--check", str(tmp_path), "--crop_size=16"])
        lines = [line for line in said.getvalue().splitlines() if line.startswith("download_data: ")]
        assert len(lines) == (code == 2)
        named = "(1 damaged, 0 smaller" in said.getvalue() or "(0 damaged, 1 smaller" in said.getvalue()
        assert named == ("a.jpg: " in out.getvalue()) == (code == 2)
        assert "Traceback" not in said.getvalue()
        return code

    seen = fuzz(examples, check, PICTURES)
    assert min(seen[0], seen[2]) > examples / 50


def test_a_pipe_among_the_pictures_is_passed_over(tmp_path):
    """Reading one would wait for ever for somebody who writes into it."""
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number))
    os.mkfifo(tmp_path / "1a.jpg")
    os.mkfifo(tmp_path / "other.jpg")
    (tmp_path / "link.jpg").symlink_to("other.jpg")
    signal.alarm(LONGEST)
    found, others = find.list_pictures(str(tmp_path))
    assert (list(found), others) == (["0.jpg", "1.jpg", "2.jpg"], {"": 3})
    assert sorted(find.find_pictures([str(tmp_path / "*.jpg")])[0].values()) == ["0.jpg", "1.jpg", "2.jpg"]
    dataset = open_dataset(Config(dataset=str(tmp_path), test_vectors=1))
    assert batches(dataset, [0], 4)[0].label.shape == (4, 64, 64, 3)
    assert download_data.main(["--check", str(tmp_path)]) == 0


def test_too_many_pixels_are_refused_by_the_header():
    """A picture of a hundred million pixels, in 100 kB: the memory for it is never taken."""
    rows = zlib.compress(bytes(10_001 * 10_000), 1)
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0), b"IDAT" + rows, b"IEND")
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
    )
    assert len(data) < 1_000_000
    with pytest.raises(UnusablePicture, match="10000x10000 is more than 89 million pixels"):
        pictures.read(data)


# ---- other files -----------------------------------------------------------------------------------


def quick_config(root: Path, **options: object) -> Config:
    folders = {f"{name}_dir": str(root / name) for name in ("train", "checkpoint", "summary")}
    small = {"gen_architect": "deconv", "width": 0.03125, "batch_size": 2, "test_vectors": 2}
    return Config(run="train", dataset="synthetic", **folders, **(small | options))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Config:
    """A run with checkpoints of batches 1 and 2 and a line of figures for each."""
    config = quick_config(tmp_path_factory.mktemp("run"), max_batches=2)
    run = Run(config).open()
    run.describe("drawn", 5000)
    checkpoints = Checkpoints(config.checkpoint_dir, Gan(config).parts)
    for batch in (1, 2):
        run.log({"batch": batch, "generator_loss": 0.5 / batch})
        checkpoints.save(batch, 0.0)
    return config


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
CHANGES = st.dictionaries(st.one_of(OPTIONS.map(lambda f: f.name), st.text(max_size=9)), JSON, max_size=3)


@often(300, 8_000)
def test_a_damaged_config_json_is_refused_or_good(run_folder, tmp_path, examples):
    path = Path(run_folder.checkpoint_dir, "config.json")
    good = path.read_bytes()
    content = json.loads(good)
    options = CHANGES.map(lambda c: json.dumps(content | {"options": content["options"] | c}).encode())
    parts = CHANGES.map(lambda c: json.dumps(content | c).encode())
    shapes = JSON.map(lambda c: json.dumps(c).encode())

    def check(data: bytes) -> bool:
        (tmp_path / "config.json").write_bytes(data)
        config, said = attempt(lambda: load_config(str(tmp_path)), UserError)
        if config is None:
            assert "config.json' is damaged" in said
            return False
        assert all(not out_of_range(getattr(config, f.name), f.metadata) for f in fields())
        assert read_description(str(tmp_path))["dataset"].keys() == {"fingerprint", "pictures"}
        return True

    seen = fuzz(examples, check, st.one_of(damaged(st.just(good)), options, parts, shapes))
    assert min(seen[True], seen[False]) > examples / 20


@pytest.mark.parametrize(
    "text",
    [
        '{"options": {"width": "wide"}, "dataset": {"fingerprint": "x", "pictures": 1}}',
        '{"options": {"width": 9.0}, "dataset": {"fingerprint": "x", "pictures": 1}}',
        '{"options": {"loss_func": "wgXn"}, "dataset": {"fingerprint": "x", "pictures": 1}}',
        '{"options": {"images": [3]}, "dataset": {"fingerprint": "x", "pictures": 1}}',
        '{"options": {}, "dataset": {"pictures": 1}}',
        '{"options": {}, "dataset": 7}',
        "[" * 100_000,
        "[]",
        "",
    ],
    ids=lambda text: text[:40],
)
def test_what_was_found_in_config_json(run_folder, tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match="damaged"):
        read_description(str(tmp_path))


@often(200, 5_000)
def test_damaged_lines_of_figures_are_left_out(tmp_path, examples):
    path = tmp_path / "checkpoint" / "metrics.jsonl"
    path.parent.mkdir()
    lines = [json.dumps({"batch": n, "psnr": n / 3}).encode() + b"\n" for n in range(5)]
    run = Run(quick_config(tmp_path))

    def check(data: bytes) -> int:
        path.write_bytes(data)
        read_metrics(str(path))
        with contextlib.redirect_stdout(io.StringIO()):
            run.drop_metrics_after(3)
        left = read_metrics(str(path))
        assert all(isinstance(line["batch"], int) and line["batch"] <= 3 for line in left)
        assert path.read_bytes().count(b"\n") == len(left)
        return len(left)

    seen = fuzz(examples, check, damaged(st.just(b"".join(lines))))
    assert len(seen) > 2


def test_a_damaged_line_of_figures_is_told_and_kept(tmp_path, capsys):
    run = Run(quick_config(tmp_path)).open()
    path = Path(run.metrics_path)
    before = b'{"batch": 1}\n{"batch": \xff}\n[3]\n{"batch": 2}\n{"batch": 3}\n{"ba'
    path.write_bytes(before)
    run.drop_metrics_after(2)
    assert path.read_text() == '{"batch": 1}\n{"batch": 2}\n'
    assert "2 damaged lines left out" in capsys.readouterr().out
    assert Path(f"{path}.damaged").read_bytes() == before
    run.drop_metrics_after(2)  # nothing is wrong any more
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "both"), [("srez-2.index", False), ("srez-2.data-00000-of-00001", False), ("checkpoint", True)]
)
@often(12, 300)
def test_a_damaged_checkpoint_gives_way_or_is_whole(run_folder, tmp_path, examples, name, both):
    """Of two checkpoints the newest is damaged, or the list that TensorFlow keeps of them."""
    good = {p.name: p.read_bytes() for p in Path(run_folder.checkpoint_dir).iterdir()}
    config = dataclasses.replace(run_folder, checkpoint_dir=str(tmp_path))
    gan = Gan(config)

    def check(data: bytes) -> int:
        for path in tmp_path.iterdir():
            path.unlink()
        for other, content in good.items():
            (tmp_path / other).write_bytes(data if other == name else content)
        with contextlib.redirect_stdout(io.StringIO()):
            batch, _ = Checkpoints(config.checkpoint_dir, gan.parts).restore()
        assert (tmp_path / f"{name}.damaged").exists() == (batch == 1)
        return batch

    seen = fuzz(examples, check, damaged(st.just(good[name])))
    assert seen.keys() <= {1, 2}
    assert seen[2] == examples if both else seen[1] > examples / 2


def test_what_was_found_in_tensorflows_list(run_folder, tmp_path):
    """Not text at all: it used to be read before it was known whether it is good."""
    for path in Path(run_folder.checkpoint_dir).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "checkpoint").write_bytes(b'model_c\xf9eckpoint_path: "srez-2"')
    config = dataclasses.replace(run_folder, checkpoint_dir=str(tmp_path))
    checkpoints = Checkpoints(config.checkpoint_dir, Gan(config).parts)
    assert checkpoints.restore()[0] == 2
    for path in tmp_path.glob("srez-*"):
        path.unlink()
    (tmp_path / "checkpoint").write_bytes(b'model_c\xf9eckpoint_path: "srez-2"')
    again = Checkpoints(config.checkpoint_dir, Gan(config).parts)
    assert again.restore() == (0, 0.0)
    again.save(3, 0.0)
    assert (tmp_path / "srez-3.index").exists()


@often(150, 4_000)
def test_a_damaged_pack_is_refused_or_the_same(tmp_path, examples):
    folder, path = tmp_path / "pictures", tmp_path / "pictures.pack"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.png").write_bytes(SEEDS["png"])
    options = {"crop_size": 32, "crop_wiggle": 0, "crop_x": -1, "crop_y": -1}
    with contextlib.redirect_stdout(io.StringIO()):
        words = [f"--{name}={value}" for name, value in options.items()]
        assert download_data.main(["--pack", str(folder), *words]) == 0
    whole = [Pack(str(path), options).window(i).copy() for i in range(2)]

    def check(data: bytes) -> bool:
        (tmp_path / "bad.pack").write_bytes(data)
        pack, said = attempt(lambda: Pack(str(tmp_path / "bad.pack"), options), UserError)
        if pack is not None:
            windows, said = attempt(lambda: [pack.window(i) for i in range(2)], UserError)
        if said:
            assert "bad.pack' cannot be used" in said
            return False
        assert np.array_equal(windows, whole)
        return True

    assert fuzz(examples, check, damaged(st.just(path.read_bytes())))[False] > examples / 2


@often(100, 3_000)
def test_a_damaged_flagfile_is_refused_in_one_line_or_read(somewhere, examples):
    good = b"# a recipe\n--loss_func=wgangp\n--critic_iters=5\n--nodeterministic\n--run=train\n"

    def check(data: bytes) -> int:
        (somewhere / "some.flags").write_bytes(data.replace(b"/", b""))
        return assert_good_answer(["--flagfile=some.flags"])

    assert fuzz(examples, check, damaged(st.just(good)))[2] > examples / 4


@often(100, 3_000)
def test_a_damaged_zip_is_refused_or_unpacked_whole(tmp_path, examples):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(3):
            file.writestr(f"faces/{number}.jpg", SEEDS["jpeg"])
    good = buffer.getvalue()

    def check(data: bytes) -> bool:
        (tmp_path / "a.zip").write_bytes(data)
        archive = Archive("a.zip", "https://example.invalid", "ID", len(data), "", "", "faces", 3)
        dest, marker = tmp_path / "out", unpack.Marker("celeba", {})
        with contextlib.redirect_stderr(io.StringIO()):
            _, said = attempt(lambda: unpack.unpack(tmp_path / "a.zip", dest, archive, marker, 3), UserError)
        if said:
            assert "a.zip: " in said
            assert not dest.exists()
            return False
        found = {p.name: p.read_bytes() for p in dest.glob("[!.]*")}
        assert set(found.values()) == {SEEDS["jpeg"]}
        assert len(found) == 3
        for path in dest.iterdir():
            path.unlink()
        dest.rmdir()
        return True

    seen = fuzz(examples, check, damaged(st.just(good)))
    assert seen[False] > examples / 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]


# ---- whole trainings -------------------------------------------------------------------------------


@pytest.mark.slow
def test_options_that_are_accepted_train(faces, tmp_path):
    """Anything that the checks let pass trains for a batch, diverges or is refused in words."""
    fixed = {"run", "dataset", "train_dir", "checkpoint_dir", "summary_dir", "dry_run", "resume", "xla"}
    fixed |= {"deterministic", "log_device_placement", "max_batches", "train_time", "gene_ema", "start_from"}
    free = [f for f in fields() if f.name not in fixed and f.metadata["group"] not in ("use", "study")]
    ends = {"batch_size": (1, 3), "critic_iters": (1, 2), "width": (0.001, 0.0625), "test_vectors": (1, 3)}

    def value(f: dataclasses.Field) -> st.SearchStrategy:
        if f.metadata["choices"] is not None:
            return st.sampled_from(f.metadata["choices"])
        if f.name in ends:
            return (st.integers if f.type is int else st.floats)(*ends[f.name])
        if f.type is int:
            return st.integers(-1, 2**31 - 1) | st.integers(0, 200)
        return st.floats(0, 1e300) | st.floats(0, 1) | st.floats(0, 1e-300)

    numbers = iter(range(10**9))

    def check(changed: dict) -> object:
        root = tmp_path / str(next(numbers))
        config = quick_config(root, **({"max_batches": 1, "gen_architect": "deconv"} | changed))
        config = dataclasses.replace(config, dataset=faces)
        _, said = attempt(lambda: rules.check(config), UserError)
        if not said:
            code, said = attempt(lambda: srez_train.train(config, Stop()), UserError)
        assert "\n" not in said
        return 2 if said else code

    one = st.sampled_from(free).flatmap(lambda f: value(f).map(lambda v: (f.name, v)))
    seen = fuzz(60, check, st.lists(one, max_size=5).map(dict))
    assert seen.keys() <= {0, 2, 3}
    assert seen[0] > 12
