"""Packs: the same samples as from the folder, bit for bit; refused where damaged or framed otherwise."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import jpeg

import download_data
from srez.data.dataset import open_dataset
from srez.data.pack import WINDOWS_START, Pack, write_pack
from srez.errors import EXIT_DONE, EXIT_USER, UserError
from srez.options.config import Config
from srez_input import batches


@pytest.fixture(scope="module")
def folder(faces, tmp_path_factory) -> Path:
    """Faces with a damaged one in the middle and one below another folder, of another size."""
    folder = tmp_path_factory.mktemp("packed") / "people"
    shutil.copytree(faces, folder)
    (folder / "000020.jpg").write_bytes(jpeg(20)[:3000])
    (folder / "more").mkdir()
    (folder / "more" / "small.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def pack(folder) -> Path:
    assert download_data.main(["--pack", str(folder)]) == EXIT_DONE
    return folder.with_suffix(".pack")


def altered(pack: Path, to: Path, place: int) -> str:
    """A copy of a pack with one bit turned; its path."""
    data = bytearray(pack.read_bytes())
    data[place] ^= 1
    to.write_bytes(data)
    return str(to)


@pytest.mark.parametrize("options", [{}, {"random_seed": 5}, {"input": "noise"}])
def test_the_same_samples_as_from_the_folder(folder, pack, options):
    one, other = (open_dataset(Config(dataset=str(path), batch_size=8, **options)) for path in (folder, pack))
    assert one.source.names == other.source.names
    assert one.source.fingerprint == other.source.fingerprint
    assert one.test == other.test
    for position in (0, 8, 40, 200):
        expected, got = (batches(dataset, [position], 8)[0] for dataset in (one, other))
        np.testing.assert_array_equal(expected.label, got.label)
        np.testing.assert_array_equal(expected.feature, got.feature)
    np.testing.assert_array_equal(one.test_batch().label, other.test_batch().label)
    assert set(one.damaged) == set(other.damaged)


@pytest.mark.parametrize("flag", ["crop_size", "crop_wiggle", "crop_x", "crop_y"])
def test_another_framing_is_refused_naming_both(pack, flag):
    values = {"crop_size": 120, "crop_wiggle": 4, "crop_x": 3, "crop_y": 3}
    config = Config(dataset=str(pack), **{flag: values[flag]})
    with pytest.raises(UserError, match=rf"packed with --{flag}=(-1|8|128), not --{flag}={values[flag]}"):
        open_dataset(config)


def test_the_framing_is_what_was_asked_for(folder, tmp_path):
    pack = tmp_path / "small.pack"
    flags = {"crop_size": 100, "crop_wiggle": 0, "crop_x": 10, "crop_y": 20}
    words = [f"--{name}={value}" for name, value in flags.items()]
    assert download_data.main(["--pack", str(folder), "--pack_to", str(pack), *words]) == EXIT_DONE
    one, other = (open_dataset(Config(dataset=str(path), **flags)) for path in (folder, pack))
    np.testing.assert_array_equal(one.source.window(3), other.source.window(3))
    assert other.source.window(3).shape == (100, 100, 3)


def test_an_altered_window_is_refused_when_it_is_read(pack, tmp_path):
    where = altered(pack, tmp_path / "bad.pack", WINDOWS_START + 5)
    opened = Pack(where, {})
    with pytest.raises(UserError, match=r"bad.pack' cannot be used \(000001.jpg was altered"):
        opened.window(0)
    assert opened.window(1).shape == (144, 144, 3)


@pytest.mark.parametrize("place", [0, 14, -3])
def test_an_altered_header_is_refused(pack, tmp_path, place):
    where = altered(pack, tmp_path / "bad.pack", place)
    with pytest.raises(UserError, match=r"bad.pack' cannot be used"):
        Pack(where, {})


@pytest.mark.parametrize("size", [0, 20, 60, 100_000, -1])
def test_a_truncated_pack_is_refused(pack, tmp_path, size):
    cut = tmp_path / "cut.pack"
    cut.write_bytes(pack.read_bytes()[:size])
    with pytest.raises(UserError, match=r"cut.pack' cannot be used"):
        Pack(str(cut), {})


def test_the_command_line_refuses_in_one_line(srez, pack, tmp_path):
    for options, words in (
        ({"dataset": tmp_path / "none.pack"}, "none.pack"),
        ({"dataset": pack, "crop_size": 120}, "--crop_size=128, not --crop_size=120"),
    ):
        done = srez(run="train", cwd=tmp_path, **options)
        assert done.returncode == EXIT_USER
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_pack_is_not_overwritten_and_whole_or_not_there(folder, pack, tmp_path, capsys):
    before = pack.read_bytes()
    assert download_data.main(["--pack", str(folder)]) == EXIT_USER
    assert "is there already" in capsys.readouterr().err
    assert pack.read_bytes() == before

    def windows():
        yield np.zeros((4, 4, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pack(str(tmp_path / "half.pack"), {}, "", ["a", "b"], windows())
    assert list(tmp_path.iterdir()) == []
