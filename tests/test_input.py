"""The data stream: a pure function of (dataset, seed, position), whatever the files are."""

import io
import itertools
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import jpeg
from PIL import Image

import srez_input
from srez.data import samples
from srez.data.dataset import Dataset, open_dataset, uniforms
from srez.data.samples import Batch
from srez.data.sources import SYNTHETIC_FACES, Framing, Source
from srez.data.windows import aligned_bytes
from srez.errors import UserError
from srez.images.picture import UnusablePicture, decode
from srez.options.config import Config
from srez_input import open_chunks, open_stream


def numbered(count: int, broken: tuple[int, ...] = (), names: list[str] | None = None) -> Source:
    """Pictures whose every pixel is their number."""

    def window(index: int) -> np.ndarray:
        if index in broken:
            raise UnusablePicture("broken on purpose")
        return np.full((144, 144, 3), index % 251, np.uint8)

    return Source(names or [f"{i:06d}.jpg" for i in range(1, count + 1)], "made up", window, "numbered")


def first_pixels(dataset: Dataset, positions) -> list[int]:
    return [int(srez_input.random_crops(dataset, [p], np.zeros((1, 2)))[0, 0, 0, 0]) for p in positions]


def batch_at(dataset: Dataset, position: int, size: int) -> Batch:
    return srez_input.batches(dataset, [position], size)[0]


def test_every_epoch_shows_every_training_picture_once():
    dataset = Dataset(Config(test_vectors=5), numbered(50))
    for epoch in range(3):
        seen = first_pixels(dataset, range(45 * epoch, 45 * epoch + 45))
        assert sorted(seen) == list(range(45))
    assert first_pixels(dataset, range(45)) != first_pixels(dataset, range(45, 90))


def test_consecutive_epochs_of_celeba_do_not_correlate():
    for epoch in range(3):
        one, other = (srez_input.permutation(202_599, 0, e) for e in (epoch, epoch + 1))
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.02
        assert np.array_equal(np.sort(one), np.arange(202_599))


def test_the_stream_starts_anywhere(faces):
    config = Config(dataset=faces, batch_size=4)
    whole = list(itertools.islice(open_stream(open_dataset(config), 0), 6))
    later = next(open_stream(open_dataset(config), 5 * 4))
    assert np.array_equal(whole[5].label, later.label)
    assert np.array_equal(whole[5].feature, later.feature)


def test_a_share_of_the_positions_is_a_share_of_the_batch(faces):
    dataset = open_dataset(Config(dataset=faces, batch_size=4))
    whole, second_half = batch_at(dataset, 8, 4), batch_at(dataset, 10, 2)
    np.testing.assert_array_equal(whole.label[2:], second_half.label)


@pytest.mark.parametrize("kind", ["scaled", "noise"])
def test_batches_made_together_are_those_made_alone(faces, kind):
    dataset = open_dataset(Config(dataset=faces, input=kind))
    starts = range(30, 30 + 7 * 5, 7)  # as a worker takes them: 3 of every 7 samples, over an epoch's end
    for start, batch in zip(starts, srez_input.batches(dataset, starts, 3), strict=True):
        alone = batch_at(dataset, start, 3)
        assert batch.label.shape == (3, 64, 64, 3)
        np.testing.assert_array_equal(batch.label, alone.label)
        np.testing.assert_array_equal(batch.feature, alone.feature)


def test_a_stream_misses_no_batch_between_those_made_together(faces):
    dataset = open_dataset(Config(dataset=faces, batch_size=5))  # 25 are made together
    for number, batch in enumerate(itertools.islice(open_stream(dataset, 3), 27)):
        np.testing.assert_array_equal(batch.label, batch_at(dataset, 3 + 5 * number, 5).label)


@pytest.mark.parametrize("kind", ["scaled", "noise"])
@pytest.mark.parametrize("iters", [1, 2])
def test_chunks_are_the_batches_of_the_stream(faces, tmp_path, kind, iters):
    """Over two epochs' ends, with a damaged picture."""
    folder = tmp_path / "some"
    shutil.copytree(faces, folder)
    (folder / "000003.jpg").write_bytes(jpeg(3)[:3000])
    config = Config(dataset=str(folder), input=kind, critic_iters=iters, batch_size=3, test_vectors=30)
    stream = open_stream(open_dataset(config), 20)
    side, lengths = config.input_size, [7, 20, 3]
    chunks = open_chunks(open_dataset(config), 20, iter(lengths), 20, "CPU:0")
    for length, chunk in zip(lengths, chunks, strict=True):
        assert chunk.label.shape == (20, iters, 3, 64, 64, 3)
        assert chunk.feature.shape == (20, iters, 3, side, side, 3)
        assert chunk.label.dtype == chunk.feature.dtype == tf.float32
        assert "CPU:0" in chunk.label.device
        for place, turn in itertools.product(range(length), range(iters)):
            batch = next(stream)
            np.testing.assert_array_equal(chunk.label[place, turn], batch.label)
            np.testing.assert_array_equal(chunk.feature[place, turn], batch.feature)
        assert not np.any(chunk.label[length:])
        assert not np.any(chunk.feature[length:])
    stream.close()


def test_chunks_of_large_batches(faces):
    config = Config(dataset=faces, batch_size=150)
    (chunk,) = open_chunks(open_dataset(config), 7, [2], 2, "CPU:0")
    for number in range(2):
        expected = batch_at(open_dataset(config), 7 + number * 150, 150)
        np.testing.assert_array_equal(chunk.label[number, 0], expected.label)


def test_few_chunks_are_made_ahead_and_their_threads_end(faces):
    before, asked = threading.active_count(), []
    lengths = (asked.append(i) or 2 for i in itertools.count())
    chunks = open_chunks(open_dataset(Config(dataset=faces, batch_size=2)), 0, lengths, 2, "CPU:0")
    for number in range(4):
        next(chunks)
        assert len(asked) == number + 1 + srez_input.CHUNKS_AHEAD
    assert threading.active_count() > before
    chunks.close()
    assert threading.active_count() == before


def test_an_error_in_a_chunk_reaches_who_takes_it():
    dataset = Dataset(Config(test_vectors=1, batch_size=2), numbered(20, broken=tuple(range(19))))
    before = threading.active_count()
    with pytest.raises(UserError, match="none of its pictures"):
        next(open_chunks(dataset, 0, itertools.repeat(3), 3, "CPU:0"))
    assert threading.active_count() == before


def test_the_seed_changes_order_and_crops(faces):
    one, other = (batch_at(open_dataset(Config(dataset=faces, random_seed=seed)), 0, 8) for seed in (0, 1))
    assert float(tf.reduce_max(tf.abs(one.label - other.label))) > 0.1


def test_a_damaged_file_keeps_its_place_and_shifts_nothing():
    good = Dataset(Config(test_vectors=5), numbered(50))
    bad = Dataset(Config(test_vectors=5), numbered(50, broken=(7,)))
    positions = range(90)
    for position, right, found in zip(
        positions, first_pixels(good, positions), first_pixels(bad, positions), strict=True
    ):
        if right == 7:
            assert found != 7, position
            assert found < 45
        else:
            assert found == right
    assert bad.damaged == {7: "broken on purpose"}


def test_the_replacement_does_not_depend_on_what_was_read_before():
    positions = list(range(45))
    forwards = Dataset(Config(test_vectors=5), numbered(50, broken=(3, 7, 9)))
    backwards = Dataset(Config(test_vectors=5), numbered(50, broken=(3, 7, 9)))
    assert first_pixels(forwards, positions) == first_pixels(backwards, positions[::-1])[::-1]


def test_one_good_picture_among_many_broken_ones_is_found():
    dataset = Dataset(Config(test_vectors=1), numbered(300, broken=tuple(i for i in range(299) if i != 123)))
    assert first_pixels(dataset, range(3)) == [123] * 3


def test_no_good_picture_left_is_an_error():
    dataset = Dataset(Config(test_vectors=1), numbered(20, broken=tuple(range(19))))
    with pytest.raises(UserError, match="none of its pictures"):
        batch_at(dataset, 0, 1)


def test_a_truncated_and_a_small_picture_are_named_once(faces, tmp_path, caplog):
    folder = tmp_path / "some"
    shutil.copytree(faces, folder)
    (folder / "000003.jpg").write_bytes(jpeg(3)[:3000])
    Image.new("RGB", (100, 200)).save(folder / "000004.jpg")
    (folder / "notes.txt").write_text("not a picture")
    dataset = open_dataset(Config(dataset=str(folder)))
    for position in range(3 * len(dataset.train)):
        batch_at(dataset, position, 1)
    assert sorted(dataset.damaged) == [2, 3]
    assert caplog.text.count("000003.jpg") == 1
    assert caplog.text.count("100x200 is too small for a crop of 128x128") == 1
    assert "some: 1 other file passed over (1 .txt)" in caplog.text


def test_of_many_pictures_that_cannot_be_used_three_are_named(faces, tmp_path, caplog):
    folder = tmp_path / "some"
    shutil.copytree(faces, folder)
    for n in range(10):
        Image.new("RGB", (100, 100 + n)).save(folder / f"{n}small.jpg")
        (folder / f"{n}broken.jpg").write_bytes(jpeg(3)[:3000] if n < 9 else b"?")
    dataset = open_dataset(Config(dataset=str(folder)))
    dataset.windows(np.arange(80))
    assert len(dataset.damaged) == 20
    assert caplog.text.count("skipped ") == 4
    assert caplog.text.count("skipped more of ") == 1
    assert re.fullmatch(
        r"20 pictures cannot be used, 10 of them \(100x10\d is too small for a crop of 128x128\)",
        dataset.describe_damaged(),
    )


def test_a_folder_of_small_faces_is_one_line(tmp_path, caplog):
    for n in range(30):
        Image.new("RGB", (64, 64)).save(tmp_path / f"{n}.png")
    with pytest.raises(UserError) as error:
        open_dataset(Config(dataset=str(tmp_path)))
    assert str(error.value) == (
        f"dataset '{tmp_path}' has no usable picture; "
        "30 pictures cannot be used (64x64 is too small for a crop of 128x128): "
        "train with --crop_size 64 --crop_wiggle 0, which takes most of them"
    )
    assert "skipped" not in caplog.text
    dataset = open_dataset(Config(dataset=str(tmp_path), crop_size=64, crop_wiggle=0))
    assert (len(dataset.train), dataset.damaged) == (14, {})


@pytest.mark.parametrize(
    ("lost", "problem"),
    [
        (19, "has no usable picture; 20 pictures cannot be used, 19 of them"),
        (11, "has 8 usable pictures, too few for --test_vectors=9; 12 pictures cannot be used, 11 of them"),
    ],
)
def test_where_most_files_cannot_be_read_that_is_what_to_mend(tmp_path, lost, problem):
    for n in range(19):
        if n < lost:
            (tmp_path / f"face{n}.png").symlink_to(f"moved{n}.png")
        else:
            Image.new("RGB", (178, 218)).save(tmp_path / f"face{n}.png")
    (tmp_path / "broken.png").write_bytes(b"?")
    with pytest.raises(UserError) as error:
        open_dataset(Config(dataset=str(tmp_path), test_vectors=9))
    assert str(error.value) == (
        f"dataset '{tmp_path}' {problem} (No such file or directory): "
        "mend that, or name another folder (download_data.py --check names them all)"
    )


def test_too_few_pictures(tmp_path):
    for n in range(4):
        Image.new("RGB", (178, 218)).save(tmp_path / f"{n}.png")
    (tmp_path / "broken.png").write_bytes(b"?")
    with pytest.raises(
        UserError, match="has 4 usable pictures, none is left for training beside --test_vectors=4"
    ):
        open_dataset(Config(dataset=str(tmp_path), test_vectors=4))
    with pytest.raises(
        UserError, match=r"has 4 usable .* 1 pictures cannot be used .no picture .*: lower it or add others"
    ):
        open_dataset(Config(dataset=str(tmp_path), test_vectors=5))


def test_the_last_names_are_held_out_and_never_trained_on():
    dataset = Dataset(Config(test_vectors=5), numbered(50))
    assert dataset.test == [45, 46, 47, 48, 49]
    assert dataset.train.tolist() == list(range(45))


def test_a_damaged_face_is_not_held_out():
    dataset = Dataset(Config(test_vectors=3), numbered(20, broken=(18,)))
    assert dataset.test == [16, 17, 19]
    assert 18 not in dataset.train


def test_full_celeba_holds_out_the_faces_of_2017():
    dataset = Dataset(Config(), numbered(202_599))
    names = [dataset.source.names[i] for i in dataset.test]
    assert names[:3] == ["073883.jpg", "110251.jpg", "036510.jpg"]
    assert names[-1] == "100990.jpg"
    assert len(names) == 16
    assert len(dataset.train) == 202_599 - 16
    assert not set(dataset.test) & set(dataset.train.tolist())


@pytest.mark.parametrize("count", [3, 16, 17])
def test_too_few_pictures_for_the_held_out_faces(count):
    wanted = 16 if count < 17 else 17
    with pytest.raises(UserError, match=f"--test_vectors={wanted}"):
        Dataset(Config(test_vectors=wanted), numbered(count))


def test_held_out_faces_are_cropped_in_the_centre(faces):
    dataset = open_dataset(Config(dataset=faces, test_vectors=2))
    batch = dataset.test_batch()
    picture = np.asarray(Image.open(Path(faces) / "000060.jpg"))
    crop = picture[60:188, 25:153] / 255.0
    expected = crop.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(batch.label[1], expected, atol=1e-6)
    np.testing.assert_allclose(
        batch.feature[1], expected.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3)), atol=1e-6
    )


@pytest.mark.parametrize(
    ("framing", "size", "window"),
    [
        (Framing(), (178, 218), (17, 52, 144, 144)),  # CelebA, as in 2017
        (Framing(), (200, 300), (28, 78, 144, 144)),
        (Framing(), (128, 128), (0, 0, 128, 128)),
        (Framing(), (130, 300), (0, 78, 130, 144)),
        (Framing(x=25, y=60), (178, 218), (17, 52, 144, 144)),
        (Framing(x=0, y=3), (178, 218), (0, 0, 136, 139)),
        (Framing(64, 4, 12, 30), (89, 109), (8, 26, 72, 72)),  # CelebA at half size
        (Framing(64, 0), (178, 218), (57, 92, 64, 64)),  # the same centre as the full crop
    ],
)
def test_window(framing, size, window):
    assert framing.place(*size) == window


@pytest.mark.parametrize(("framing", "size"), [(Framing(), (127, 300)), (Framing(x=100, y=0), (178, 218))])
def test_a_crop_outside_the_picture_is_refused(framing, size):
    with pytest.raises(UnusablePicture, match="too small"):
        framing.place(*size)


def test_crops_reach_every_offset_of_the_window_and_both_sides():
    """Windows that are brighter by one level a column: a crop tells where it lay."""
    across = np.arange(144, dtype=np.uint8)[None, :, None] * np.ones((144, 1, 3), np.uint8)
    source = Source([f"{i}" for i in range(20)], "", lambda i: across, "ramp")
    dataset = Dataset(Config(test_vectors=1), source)
    crops = srez_input.random_crops(dataset, range(600), uniforms(0, 0, 600, 2))
    assert {int(crop[0, 0, 0]) for crop in crops} == set(range(17))
    labels = np.concatenate([batch_at(dataset, p, 50).label[:, 0, :, 0] for p in range(0, 600, 50)])
    flipped = labels[:, 0] > labels[:, -1]
    assert 0.4 < flipped.mean() < 0.6
    straight = np.where(flipped[:, None], labels[:, ::-1], labels)
    assert (np.diff(straight, axis=1) >= 0).all()


def test_a_sample_is_its_crop_turned_jittered_and_averaged(faces):
    """The whole way of a sample, done again by hand from its random numbers."""
    config = Config(dataset=faces, random_seed=5)
    dataset = open_dataset(config)
    batch = batch_at(dataset, 7, 12)
    for i, label in enumerate(batch.label.numpy()):
        u = uniforms(5, 7 + i, 1, 6)[0]
        window = dataset.source.window(
            int(dataset.train[srez_input.permutation(len(dataset.train), 5, 0)[7 + i]])
        )
        y, x = int(u[0] * 17), int(u[1] * 17)
        crop = tf.cast(window[y : y + 128, x : x + 128], tf.float32)[None] / 255.0
        crop = crop[:, :, ::-1] if u[2] < 0.5 else crop
        jittered = samples.jitter_colours(crop, (2 * u[None, 3:] - 1).astype(np.float32))
        expected = jittered.numpy().reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(label, expected, atol=1e-6)
        small = expected.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(batch.feature[i], small, atol=1e-6)


def test_the_window_is_pillows(faces):
    data = (Path(faces) / "000001.jpg").read_bytes()
    whole = np.asarray(Image.open(io.BytesIO(data)))
    window = Framing().window(decode(data))
    np.testing.assert_array_equal(window, whole[52:196, 17:161])


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"quality": 30}])
def test_windows_of_plain_jpegs_are_tensorflows(options):
    buffer = io.BytesIO()
    Image.open(io.BytesIO(jpeg(3))).save(buffer, "JPEG", **options)
    whole = tf.io.decode_jpeg(buffer.getvalue(), channels=3, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(Framing().window(decode(buffer.getvalue())), whole[52:196, 17:161])


@pytest.mark.parametrize("kind", ["damaged", "grey", "turned", "png"])
def test_one_file_that_is_no_plain_jpeg_changes_no_other_sample(faces, tmp_path, kind):
    plain = batch_at(open_dataset(Config(dataset=faces, test_vectors=1)), 0, 8)
    folder = tmp_path / "some"
    shutil.copytree(faces, folder)
    dataset = open_dataset(Config(dataset=str(folder), test_vectors=1))
    path = folder / dataset.source.names[dataset.train[srez_input.permutation(len(dataset.train), 0, 0)[2]]]
    face = Image.open(path)
    if kind == "damaged":
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "turned":
        exif = face.getexif()
        exif[0x0112] = 3
        face.save(path, "JPEG", exif=exif)
    else:
        face.convert("L" if kind == "grey" else "RGB").save(path, "PNG" if kind == "png" else "JPEG")
    found = batch_at(dataset, 0, 8)
    same = [np.array_equal(a, b) for a, b in zip(plain.label, found.label, strict=True)]
    assert same == [True, True, False, True, True, True, True, True] or kind == "png"
    assert all(same[:2] + same[3:])
    assert (len(dataset.damaged) == 1) == (kind == "damaged")


def test_all_kinds_of_pictures_in_nested_folders(tmp_path):
    face = Image.open(io.BytesIO(jpeg(1)))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    face.save(tmp_path / "a.JPG")
    face.convert("L").save(tmp_path / "grey.jpeg")
    face.convert("CMYK").save(tmp_path / "deep" / "cmyk.jpg")
    face.quantize(256).save(tmp_path / "deep" / "er" / "palette.png")
    face.save(tmp_path / "deep" / "er" / "face.webp")
    face.save(tmp_path / "face.bmp")
    dataset = open_dataset(Config(dataset=str(tmp_path), test_vectors=1))
    assert len(dataset.source) == 6
    reference = np.asarray(face)[52:196, 17:161].astype(int)
    for i, name in enumerate(dataset.source.names):
        window = dataset.source.window(i).astype(int)
        if "grey" in name:
            window, reference_ = window[..., :1], reference.mean(axis=2, keepdims=True)
            assert np.abs(window - reference_).mean() < 25, name
        else:
            assert np.abs(window - reference).mean() < 12, name
    assert dataset.damaged == {}


def test_remote_folders(faces):
    for number in (1, 2, 3):
        path = f"ram://album/sub/{number}.jpg"
        tf.io.gfile.makedirs("ram://album/sub")
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write((Path(faces) / f"{number:06d}.jpg").read_bytes())
    dataset = open_dataset(Config(dataset="ram://album", test_vectors=1))
    assert dataset.source.names == ["sub/1.jpg", "sub/2.jpg", "sub/3.jpg"]
    local = open_dataset(Config(dataset=faces, test_vectors=1))
    np.testing.assert_array_equal(dataset.source.window(0), local.source.window(0))


def test_the_fingerprint_follows_names_and_sizes(faces, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(faces, folder)
    before = open_dataset(Config(dataset=faces)).source.fingerprint
    assert open_dataset(Config(dataset=str(folder))).source.fingerprint == before
    (folder / "000001.jpg").rename(folder / "0.jpg")
    assert open_dataset(Config(dataset=str(folder))).source.fingerprint != before


def test_drawn_faces_need_no_files():
    dataset = open_dataset(Config(dataset="synthetic", batch_size=2))
    assert len(dataset.train) == SYNTHETIC_FACES - 16
    batch = batch_at(dataset, 0, 2)
    assert batch.label.shape == (2, 64, 64, 3)
    assert 0.05 < float(tf.math.reduce_std(batch.label)) < 0.5


def test_jitter_is_tensorflows_own_augmentation():
    random = np.random.RandomState(0)
    pictures = random.rand(4, 16, 16, 3).astype(np.float32)
    amounts = np.array([[1, 1, 1], [-1, -1, -1], [0.3, 0, -0.5], [0, 0, 0]], np.float32)
    found = samples.jitter_colours(tf.constant(pictures), tf.constant(amounts)).numpy()
    for picture, (saturation, brightness, contrast), one in zip(pictures, amounts, found, strict=True):
        expected = tf.image.adjust_saturation(picture, 1 + 0.05 * saturation)
        expected = tf.image.adjust_brightness(expected, 0.05 * brightness)
        expected = tf.image.adjust_contrast(expected, 1 + 0.05 * contrast)
        np.testing.assert_allclose(one, np.clip(expected, 0, 1), atol=1e-6)


def test_jitter_of_grey_and_black_is_finite():
    pictures = np.zeros((2, 8, 8, 3), np.float32)
    pictures[1] = 0.5
    found = samples.jitter_colours(pictures, np.array([[1, 0, 1], [1, 0, 1]], np.float32))
    np.testing.assert_allclose(found, pictures, atol=1e-7)


@pytest.mark.parametrize(("side", "size"), [(128, 64), (100, 64), (64, 64), (96, 16)])
def test_area_averaging_keeps_the_mean_of_every_area(side, size):
    pictures = np.random.RandomState(0).rand(2, side, side, 3).astype(np.float32)
    found = samples.area_resize(tf.constant(pictures), size).numpy()
    weights = np.zeros((size, side))
    for i in range(size):  # share of each source pixel in target pixel i
        low, high = i * side / size, (i + 1) * side / size
        for j in range(side):
            weights[i, j] = max(0.0, min(high, j + 1) - max(low, j)) * size / side
    expected = np.einsum("ij,bjkc,lk->bilc", weights, pictures, weights)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_noise_input_is_uniform_and_fixed_for_the_held_out_faces(faces):
    config = Config(dataset=faces, input="noise", test_vectors=16)
    dataset = open_dataset(config)
    one, again = dataset.test_batch(), open_dataset(config).test_batch()
    np.testing.assert_array_equal(one.feature, again.feature)
    assert one.feature.shape == (16, 4, 4, 3)
    noise = np.concatenate([batch_at(dataset, p, 16).feature for p in range(0, 320, 16)])
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1 / np.sqrt(3)) < 0.02
    assert noise.min() < -0.99
    assert noise.max() > 0.99


def test_uniforms_differ_by_seed_position_and_block():
    values = [
        uniforms(*key)[0, 0]
        for key in [(0, 0, 1, 1), (1, 0, 1, 1), (0, 1, 1, 1), (0, 0, 1, 1, 1), (0, 0, 1, 1, 2)]
    ]
    assert len(set(values)) == 5
    many = uniforms(3, 0, 2000, 6)
    assert abs(many.mean() - 0.5) < 0.01
    assert np.abs(np.corrcoef(many.T) - np.eye(6)).max() < 0.08


@pytest.mark.parametrize("count", [1, 4, 6, 48])
def test_uniforms_of_a_position_do_not_depend_on_where_one_begins(count):
    whole = uniforms(3, 100, 8, count)
    np.testing.assert_array_equal(whole[5:], uniforms(3, 105, 3, count))
    assert len(np.unique(whole)) == 8 * count


def test_a_shared_tensor_outlives_its_array():
    numbers = aligned_bytes(4, 64, 64, 3)
    numbers[:] = expected = np.random.RandomState(0).randint(0, 256, numbers.shape, np.uint8)
    tensor = samples.shared_tensor(numbers)
    del numbers
    others = [aligned_bytes(4, 64, 64, 3) for _ in range(8)]
    for other in others:
        other[:] = 0
    np.testing.assert_array_equal(tensor, expected)
