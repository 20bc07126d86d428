"""What benchmarks make of their numbers, on numbers that are known."""

import runpy

import numpy as np
import pytest
from helpers import ROOT
from tensorflow.tsl.profiler.protobuf import xplane_pb2

PROFILE = runpy.run_path(str(ROOT / "bench" / "profile_gpu.py"))
MEASURES = runpy.run_path(str(ROOT / "bench" / "bench_measures.py"))
QUALITY = runpy.run_path(str(ROOT / "bench" / "bench_quality.py"))


def trace(path, device: str, lines: dict[str, list[tuple[str, int, int]]]):
    """An xplane.pb of one device; events by line: name, start and duration in picoseconds."""
    space = xplane_pb2.XSpace()
    plane = space.planes.add(name=device)
    for line, events in lines.items():
        row = plane.lines.add(name=line)
        for name, start, duration in events:
            number = len(plane.event_metadata) + 1
            plane.event_metadata[number].name = name
            row.events.add(metadata_id=number, offset_ps=start, duration_ps=duration)
    path.write_bytes(space.SerializeToString())
    return path


def test_a_profile_counts_what_streams_did(tmp_path):
    streams = {
        "Stream #1(Compute)": [("convolution", 0, 4 * 10**9), ("convolution", 6 * 10**9, 2 * 10**9)],
        "Stream #2(MemcpyD2D)": [("MemcpyD2D", 3 * 10**9, 2 * 10**9), ("Memset", 10**9, 10**9)],
        "XLA Ops": [("convolution", 0, 9 * 10**9)],
    }
    events = list(PROFILE["device_events"](trace(tmp_path / "a.xplane.pb", "/device:GPU:0", streams)))
    assert sorted(e.name for e in events) == ["MemcpyD2D", "Memset", "convolution", "convolution"]
    assert PROFILE["busy"](events) == 7 * 10**9
    said = PROFILE["report"](events, steps=2).splitlines()
    assert said[0] == "per step, over 2 steps: 1.0 kernels, device busy 3.500 ms"
    assert said[1] == "device-to-device copies (MemcpyD2D): 0.5, 1000.0 us; other copies: 0.0"
    assert said[3].split() == ["1.0", "3000.0", "convolution"]


def test_quality_by_minutes():
    rows = [{"batch": batch, "minutes": minutes} for batch, minutes in ((0, 0.0), (10, 0.5), (110, 1.5))]
    assert QUALITY["last_until"](rows, 1.0)["batch"] == 10
    assert QUALITY["last_until"](rows[1:], 0.4) is None
    assert QUALITY["images_per_second"](rows, 16) == pytest.approx(16 * 100 / 60)


def test_pictures_that_measures_are_tried_on():
    faces = np.arange(2 * 64 * 64 * 3, dtype=np.float32).reshape(2, 64, 64, 3) / (2 * 64 * 64 * 3)
    shuffled = MEASURES["shuffled"](faces)
    for face, other in zip(faces, shuffled, strict=True):
        assert not np.array_equal(face, other)
        np.testing.assert_array_equal(np.sort(face, axis=None), np.sort(other, axis=None))
        y, x = np.argwhere(face[..., 0] == other[16, 32, 0])[0]  # a tile is one of the tiles
        np.testing.assert_array_equal(other[16:32, 32:48], face[y : y + 16, x : x + 16])
    dull = MEASURES["less_contrast"](faces)
    np.testing.assert_allclose(dull.mean((1, 2)), faces.mean((1, 2)), atol=1e-4)
    np.testing.assert_allclose(dull.std((1, 2)), 0.7 * faces.std((1, 2)), rtol=1e-3)
    assert MEASURES["noisy"](np.full((2, 64, 64, 3), 0.5, np.float32)).std() == pytest.approx(0.05, rel=0.03)
