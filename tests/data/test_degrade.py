"""Inputs as photographs give them: known blur, noise and JPEG, and a pure function of (seed, position)."""

import dataclasses
import itertools

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from srez.data.dataset import open_dataset
from srez.data.degrade import (
    KERNELS,
    MOST_BLUR,
    MOST_NOISE,
    SUBSAMPLINGS,
    Degradation,
    degradations,
    degrade,
    degrade_batch,
    normals_at,
)
from srez.options.config import Config
from srez_input import batches, open_chunks, open_stream

NO_DEGRADATION = Degradation(0, 0, 95, "4:4:4", Image.Resampling.BOX)
STILL = np.zeros((64, 64, 3), np.float32)


def face() -> np.ndarray:
    """The face of scikit-image's astronaut, uint8 [64, 64, 3]."""
    return np.asarray(Image.fromarray(astronaut()[20:212, 128:320]).resize((64, 64), Image.Resampling.BOX))


def test_without_blur_and_noise_the_input_is_nearly_the_average():
    average = face().reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    made = degrade(face(), NO_DEGRADATION, STILL, 16).astype(float)
    assert 0.3 < np.sqrt(np.mean((made - average) ** 2)) < 1  # levels; rounding them is 1 / sqrt(12)


@pytest.mark.parametrize("levels", [8, 24])
def test_noise_is_a_fourth_in_means_of_sixteen_pixels(levels):
    grey = np.full((64, 64, 3), 128, np.uint8)
    how = NO_DEGRADATION._replace(noise=levels / 255)
    made = [degrade(grey, how, normals_at(0, i, grey.shape), 16) for i in range(20)]
    assert np.std(made) == pytest.approx(levels / 4, rel=0.05)
    assert np.mean(made) == pytest.approx(128, abs=0.5)


@pytest.mark.parametrize(("blur", "kept"), [(0, 1), (1, 0.926), (2, 0.735)])
def test_blur_takes_the_contrast_of_waves(blur, kept):
    """Of waves with a period of 16 pixels exp(-2 (pi blur / 16)^2) is kept."""
    wave = np.cos(2 * np.pi * np.arange(64) / 16)
    picture = np.broadcast_to(np.rint(128 + 100 * wave)[None, :, None], (64, 64, 3)).astype(np.uint8)
    made = degrade(picture, NO_DEGRADATION._replace(blur=blur), STILL, 64)
    amplitude = 2 * np.mean((made[:, 16:48, 1] - 128.0) * wave[16:48])  # its borders see their own copies
    assert amplitude == pytest.approx(100 * kept, abs=2)


def test_low_quality_and_subsampled_chroma_lose_what_they_do():
    """At quality 30 more of a face than at 95; with 4:2:0 the colours of lines one pixel wide."""

    def distance(quality: int) -> float:
        how = NO_DEGRADATION._replace(quality=quality)
        return float(np.std(degrade(face(), how, STILL, 64) - face().astype(float)))

    assert 3 < distance(30) < 15
    assert 0.5 < distance(95) < 2.5
    lines = np.zeros((64, 64, 3), np.uint8)
    lines[:, ::2, 0] = lines[:, 1::2, 2] = 200  # red and blue: means of both have no colour but violet
    kept = {}
    for subsampling in SUBSAMPLINGS:
        made = degrade(lines, NO_DEGRADATION._replace(subsampling=subsampling), STILL, 64).astype(float)
        kept[subsampling] = np.mean(np.abs(made[..., 0] - made[..., 2]))
    assert kept["4:4:4"] > 190
    assert kept["4:2:0"] < 20
    assert kept["4:2:2"] < 20


def test_kernels_reduce_differently():
    made = [degrade(face(), NO_DEGRADATION._replace(kernel=kernel), STILL, 16) for kernel in KERNELS]
    for one, other in itertools.combinations(made, 2):
        assert 0.5 < np.std(one - other.astype(float)) < 15


def test_amounts_cover_their_ranges_from_none_on():
    found = degradations(3, 0, 3000)
    blur, noise, quality = (np.array(amounts) for amounts in list(zip(*found, strict=True))[:3])
    for amounts, most in ((blur, MOST_BLUR), (noise, MOST_NOISE)):
        assert 0 <= amounts.min() < 1e-4 * most
        assert 0.99 * most < amounts.max() < most
        assert np.median(amounts) == pytest.approx(most / 4, rel=0.1)
    assert set(quality.tolist()) == set(range(30, 96))
    assert {one.subsampling for one in found} == {"4:4:4", "4:2:2", "4:2:0"}
    assert {one.kernel for one in found} == set(KERNELS)


def test_how_a_sample_is_degraded_depends_on_seed_and_position_alone():
    labels = np.stack([face() / np.float32(255)] * 5)
    whole = degrade_batch(labels, 16, 7, 100)
    assert (whole.dtype, whole.shape) == (np.float32, (5, 16, 16, 3))
    np.testing.assert_array_equal(whole[3:], degrade_batch(labels[3:], 16, 7, 103))
    for one, other in itertools.combinations([*whole, *degrade_batch(labels, 16, 8, 100)], 2):
        assert np.any(one != other)
    assert abs(np.corrcoef(*(normals_at(7, i, (9000,)) for i in (100, 101)))[0, 1]) < 0.04


def test_training_sees_degraded_inputs_and_clean_labels_however_they_are_made(faces):
    """The held-out faces, and everything where it is off, stay as they are."""
    clean = Config(dataset=faces, batch_size=4, test_vectors=2)
    photo = dataclasses.replace(clean, degrade="photo")
    stream = open_stream(open_dataset(photo), 8)
    made = [next(stream) for _ in range(3)]
    stream.close()
    (chunk,) = open_chunks(open_dataset(photo), 8, [3], 3, "CPU:0")
    share = batches(open_dataset(photo), range(10, 22, 4), 2)  # a worker's: the second half of each
    usual = batches(open_dataset(clean), range(8, 20, 4), 4)
    for i in range(3):
        label = usual[i].label.numpy()
        np.testing.assert_array_equal(made[i].label, label)
        np.testing.assert_array_equal(made[i].feature, degrade_batch(label, 16, 0, 8 + 4 * i))
        np.testing.assert_array_equal(chunk.feature[i, 0], made[i].feature)
        np.testing.assert_array_equal(share[i].feature, made[i].feature[2:])
        average = label.reshape(4, 16, 4, 16, 4, 3).mean(axis=(2, 4))
        np.testing.assert_allclose(usual[i].feature, average, atol=1e-6)
        assert 0.005 < np.std(made[i].feature - average) < 0.2
    one, other = (open_dataset(config).test_batch() for config in (clean, photo))
    np.testing.assert_array_equal(one.feature, other.feature)
