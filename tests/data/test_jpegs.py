"""Windows of many JPEG files made in one call are those that are made one by one."""

import io
from pathlib import Path

import numpy as np
import pytest
from helpers import jpeg
from PIL import Image

from srez.data import sources
from srez.data.dataset import open_dataset
from srez.data.jpegs import windows_of_jpegs
from srez.data.sources import Framing
from srez.images.picture import UnusablePicture, decode
from srez.options.config import Config
from srez_input import batches

FACE = Image.open(io.BytesIO(jpeg(1)))


def content(picture: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, **{"format": "JPEG"} | options)
    return buffer.getvalue()


def turned(picture: Image.Image) -> Image.Exif:
    exif = picture.getexif()
    exif[0x0112] = 3
    return exif


LEFT_OUT = {
    "grey": content(FACE.convert("L")),
    "cmyk": content(FACE.convert("CMYK")),
    "progressive": content(FACE, progressive=True),
    "turned": content(FACE, exif=turned(FACE)),
    "png": content(FACE, format="PNG"),
    "too small": content(FACE.resize((100, 200))),
    "truncated": jpeg(1)[:3000],
    "truncated behind the window": jpeg(1)[:-100],
    "no picture": b"hello",
    "empty": b"",
}
TAKEN = {
    "plain": jpeg(2),
    "another size": content(FACE.resize((300, 250))),
    "narrow window": content(FACE.resize((130, 250))),
    "not subsampled": content(FACE, subsampling=0),
    "half subsampled": content(FACE, subsampling=1),
    "restarts": content(FACE, restart_marker_blocks=3),
    "with a comment": content(FACE, comment=b"a face"),
}


def together(paths: list[Path], framing: Framing) -> dict[int, np.ndarray]:
    """Windows by the number of their file."""
    found = windows_of_jpegs([str(path) for path in paths], framing.place)
    return {
        int(i): window.copy() for which, windows in found for i, window in zip(which, windows, strict=True)
    }


def written(folder: Path, contents: list[bytes]) -> list[Path]:
    paths = [folder / f"{number:03d}.jpg" for number in range(len(contents))]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    return paths


def test_what_is_no_whole_plain_jpeg_is_left_out_and_the_others_are_equal(tmp_path):
    contents = LEFT_OUT | TAKEN
    found = together(written(tmp_path, list(contents.values())), Framing())
    assert [list(contents)[i] for i in sorted(found)] == list(TAKEN)
    for i, window in found.items():
        np.testing.assert_array_equal(window, Framing().window(decode(list(contents.values())[i])))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_windows_that_begin_and_end_anywhere(tmp_path, subsampling):
    """Colours at the border of a part of a picture would be others if that part were decoded alone."""
    noise = np.random.RandomState(0).randint(0, 256, (15, 13, 3), np.uint8)
    picture = Image.fromarray(noise).resize((101, 117))
    paths = written(tmp_path, [content(picture, subsampling=subsampling)])
    for x, y in [(0, 0), (1, 1), (7, 8), (15, 15), (16, 16), (17, 31), (32, 33), (47, 48), (53, 69)]:
        framing = Framing(48, 0, x, y)
        expected = framing.window(decode(paths[0].read_bytes()))
        np.testing.assert_array_equal(together(paths, framing)[0], expected)


@pytest.mark.parametrize("count", [1, 5, 64, 71])
def test_any_number_of_files(tmp_path, count):
    paths = written(tmp_path, [jpeg(1 + number % 3) for number in range(count)])
    found = together(paths, Framing())
    assert sorted(found) == list(range(count))
    for number, window in found.items():
        np.testing.assert_array_equal(window, Framing().window(decode(jpeg(1 + number % 3))))


def test_a_file_that_is_not_there_or_has_an_odd_name(tmp_path):
    odd = tmp_path / "f\udcff.jpg"  # a name in no known encoding
    odd.write_bytes(jpeg(2))
    assert sorted(together([odd], Framing())) == [0]
    assert together([tmp_path / "none.jpg"], Framing()) == {}


def test_damage_of_every_kind_gives_the_same_window_or_none(tmp_path):
    random = np.random.RandomState(3)
    whole = jpeg(1)
    contents = []
    for _ in range(80):
        data, place = bytearray(whole), random.randint(2, len(whole) - 300)
        hole = slice(place, place + random.randint(1, 200))
        data[hole] = (b"", bytes(hole.stop - hole.start), random.bytes(1))[random.randint(3)]
        contents.append(bytes(data))
    paths, same = written(tmp_path, contents), 0
    for path, data in zip(paths, contents, strict=True):
        for window in together([path], Framing()).values():
            np.testing.assert_array_equal(window, Framing().window(decode(data)))
            same += 1
    assert same > 20


def test_the_stream_is_the_same_with_few_and_with_many_processors(tmp_path, monkeypatch):
    contents = [jpeg(number) for number in range(40)] + [*LEFT_OUT.values(), *TAKEN.values()]
    written(tmp_path, contents)
    config, found = Config(dataset=str(tmp_path), test_vectors=1, cache="off"), []
    for count in (2, 16):
        monkeypatch.setattr(sources, "processors", lambda count=count: count)
        dataset = open_dataset(config)
        assert (dataset.source.together is None) == (count == 2)
        found.append((batches(dataset, range(0, 120, 12), 12), dataset.damaged))
    (few, damaged), (many, damaged_many) = found
    for one, other in zip(few, many, strict=True):
        np.testing.assert_array_equal(one.label, other.label)
        np.testing.assert_array_equal(one.feature, other.feature)
    assert damaged == damaged_many
    assert len(damaged) == 5


def test_large_files_are_decoded_one_by_one(tmp_path, monkeypatch):
    written(tmp_path, [jpeg(number) for number in range(4)])
    monkeypatch.setattr(sources, "processors", lambda: 16)
    source = sources.folder_source(str(tmp_path), Framing())
    assert [which.tolist() for which, _ in source.together([3, 0, 1])] == [[0, 1], [2]]
    monkeypatch.setattr(sources, "LARGEST_TOGETHER", 100)
    assert list(source.together([3, 0, 1])) == []


def test_a_picture_too_small_is_refused_by_name(tmp_path):
    with pytest.raises(UnusablePicture, match="too small"):
        Framing().window(decode(LEFT_OUT["too small"]))
