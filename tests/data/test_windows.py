"""Windows in memory: where they lie, crops of them, when they are kept."""

import dataclasses
import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import jpeg

from srez.data import dataset as datasets
from srez.data import sources
from srez.data.dataset import Dataset, open_dataset
from srez.data.framing import Framing
from srez.data.windows import Store, Windows, aligned_bytes, aligned_floats
from srez.download.pack import pack
from srez.errors import UserError
from srez.options.config import Config
from srez_input import batches


def test_a_crop_lies_where_its_corners_say():
    """Two windows of 5x4 and 3x6 pixels, 100 and 200 bytes apart, whose pixels are numbered."""
    data = np.zeros(400, np.uint8)
    data[10:70] = np.arange(60)
    data[200:254] = 100 + np.arange(54)
    windows = Windows(data, np.array([10, 200]), np.array([12, 18]), np.array([5, 3]), np.array([4, 6]))
    first, second = (data[10:70].reshape(5, 4, 3), data[200:254].reshape(3, 6, 3))
    crops = windows.crops(np.array([[0.0, 0.0], [0.0, 0.0]]), 3)
    np.testing.assert_array_equal(crops[0], first[:3, :3])
    np.testing.assert_array_equal(crops[1], second[:3, :3])
    crops = windows.crops(np.array([[0.99, 0.99], [0.99, 0.99]]), 3)
    np.testing.assert_array_equal(crops[0], first[2:, 1:])
    np.testing.assert_array_equal(crops[1], second[:, 3:])
    crops = windows.crops(np.array([[0.34, 0.5], [0.5, 0.25]]), 3)
    np.testing.assert_array_equal(crops[0], first[1:4, 1:])
    np.testing.assert_array_equal(crops[1], second[:, 1:4])


def test_a_store_gives_back_what_was_put_there():
    store = Store(5, 8)
    random = np.random.RandomState(0)
    small, large = (
        random.randint(0, 256, (2, 6, 7, 3), np.uint8),
        random.randint(0, 256, (1, 8, 8, 3), np.uint8),
    )
    store.put(np.array([3, 1]), small)
    store.put(np.array([4]), large)
    assert store.get(0) is None
    np.testing.assert_array_equal(store.get(3), small[0])
    np.testing.assert_array_equal(store.get(1), small[1])
    found = store.windows(np.array([4, 0, 1]))
    assert found.heights.tolist() == [8, 0, 6]
    assert found.widths.tolist() == [8, 0, 7]
    crops = store.windows(np.array([4, 1])).crops(np.array([[0.99, 0.0], [0.99, 0.99]]), 6)
    np.testing.assert_array_equal(crops[0], large[0, 2:, :6])
    np.testing.assert_array_equal(crops[1], small[1, :, 1:])


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (5, 128, 128, 3)])
def test_memory_begins_where_tensorflow_wants_it(shape):
    for made, kind in ((aligned_bytes, np.uint8), (aligned_floats, np.float32)):
        for _ in range(20):
            found = made(*shape)
            assert (found.shape, found.dtype) == (shape, kind)
            assert found.ctypes.data % 64 == 0
            assert found.flags.c_contiguous


@pytest.fixture
def mixed(tmp_path, faces) -> str:
    """Faces, one of which is damaged."""
    folder = tmp_path / "mixed"
    shutil.copytree(faces, folder)
    (folder / "000003.jpg").write_bytes(jpeg(3)[:3000])
    return str(folder)


@pytest.mark.parametrize("processors", [2, 16])
def test_kept_and_decoded_windows_make_the_same_samples(mixed, tmp_path, processors, monkeypatch):
    monkeypatch.setattr(sources, "processors", lambda: processors)
    packed = str(tmp_path / "mixed.pack")
    pack(mixed, Path(packed), Framing())
    found = []
    for folder, cache in ((mixed, "off"), (mixed, "memory"), (packed, "off")):
        dataset = open_dataset(Config(dataset=folder, cache=cache))
        found.append(batches(dataset, range(0, 3 * 45, 15), 15))  # three epochs and more
        assert list(dataset.damaged) == [2]
    for one, other, third in zip(*found, strict=True):
        np.testing.assert_array_equal(one.label, other.label)
        np.testing.assert_array_equal(one.label, third.label)


def counting(calls: list[int], window: Callable[[int], np.ndarray], index: int) -> np.ndarray:
    calls.append(index)
    return window(index)


def test_a_kept_window_is_not_decoded_again(faces, monkeypatch):
    for cache, again in (("memory", 0), ("off", 1)):
        dataset, calls = open_dataset(Config(dataset=faces, cache=cache)), []
        counted = dataclasses.replace(
            dataset.source, window=functools.partial(counting, calls, dataset.source.window), together=None
        )
        dataset.source = counted
        for _ in range(2):
            batches(dataset, [0, 20, 40], 20)
        assert len(calls) >= 44
        calls.clear()
        batches(dataset, [0], 44)
        assert len(calls) == again * 44


@pytest.mark.parametrize(
    ("cache", "free", "jobs", "kept"),
    [
        ("auto", 4 * 60 * 144 * 144 * 3, 1, True),
        ("auto", 4 * 60 * 144 * 144 * 3 - 4, 1, False),
        ("auto", 4 * 60 * 144 * 144 * 3, 2, False),
        ("auto", 8 * 60 * 144 * 144 * 3, 2, True),
        ("auto", 0, 1, False),
        ("memory", 0, 9, True),
        ("off", 2**50, 1, False),
    ],
)
def test_when_windows_are_kept(faces, monkeypatch, cache, free, jobs, kept):
    monkeypatch.setattr(datasets, "free_memory", lambda: free)
    dataset = open_dataset(Config(dataset=faces, cache=cache, jobs=jobs))
    one, other = dataset.window(3), dataset.window(3)
    assert np.shares_memory(other, dataset.window(3)) == kept
    np.testing.assert_array_equal(one, other)


def test_drawn_faces_are_always_kept():
    dataset = open_dataset(Config(dataset="synthetic", cache="off", test_vectors=1))
    dataset.window(3)
    assert np.shares_memory(dataset.window(3), dataset.window(3))


def test_more_than_there_is_memory_for_is_refused(faces, monkeypatch):
    def none(count: int, side: int) -> None:
        raise MemoryError

    none.bytes_needed = Store.bytes_needed
    monkeypatch.setattr(datasets, "Store", none)
    with pytest.raises(UserError, match="--cache=memory: 60 pictures would take"):
        open_dataset(Config(dataset=faces, cache="memory"))
    dataset = open_dataset(Config(dataset=faces, cache="off", crop_wiggle=36))
    with pytest.raises(
        UserError, match=r"--crop_wiggle=36: 100000 windows of 200 pixels would take 12\.0 GB"
    ):
        dataset.windows(np.zeros(100_000, np.int64))


def test_damage_in_several_places_of_a_batch_is_replaced_as_one_by_one(faces, tmp_path, monkeypatch):
    folder = tmp_path / "bad"
    shutil.copytree(faces, folder)
    for number in range(1, 40, 2):
        Path(folder / f"{number:06d}.jpg").write_bytes(b"damaged")
    found = []
    for cache, processors in (("off", 2), ("memory", 16)):
        monkeypatch.setattr(sources, "processors", lambda processors=processors: processors)
        whole = Dataset(config := Config(dataset=str(folder), cache=cache), sources.open_source(config))
        found.append(batches(whole, [0], 100)[0])
        alone = open_dataset(config)
        single = [batches(alone, [position], 1)[0].label for position in range(99, -1, -1)][::-1]
        np.testing.assert_array_equal(found[-1].label, np.concatenate(single))
        assert len(whole.damaged) == len(alone.damaged) == 20
    np.testing.assert_array_equal(found[0].label, found[1].label)
