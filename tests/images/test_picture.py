"""What is read from picture files."""

import io
import struct
import threading
import zlib
from multiprocessing.pool import ThreadPool

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

import download_data
from srez.data.sources import Framing, folder_source
from srez.images import picture as pictures
from srez.images.picture import UnusablePicture, decode, plain_jpeg_size, read

COLOURS = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [250, 250, 250]]], np.uint8)


def large(values: np.ndarray, side: int = 16) -> np.ndarray:
    """Every pixel as a square, so that JPEG's blocks do not mix them."""
    return values.repeat(side, axis=0).repeat(side, axis=1)


def content(picture: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


# Options with which all that is lost is what the conversion to YCbCr rounds: at most half a level of each of
# three, times 255/219 and 255/224, and 1.772 for blue: 0.5 * 1.164 + 0.5 * 1.138 * 1.772, half a level at the
# end: 2.1.
FINEST = {"HEIF": {"quality": -1, "chroma": 444}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}
ROUNDED = 2.1


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


class TestDecode:
    def test_greyscale(self):
        grey = large(np.array([[0, 90], [180, 255]], np.uint8))
        assert np.array_equal(decode(content(Image.fromarray(grey))), np.stack([grey] * 3, -1))

    def test_black_and_white(self):
        picture = Image.fromarray(large(np.array([[0, 255]], np.uint8))).convert("1")
        assert set(np.unique(decode(content(picture)))) == {0, 255}

    def test_palette(self):
        picture = Image.fromarray(large(COLOURS)).convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
        assert np.abs(decode(content(picture)).astype(int) - large(COLOURS)).max() <= 4

    def test_palette_with_transparency_over_white(self):
        picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
        picture.putpalette([200, 30, 30, 30, 200, 30] + [0] * 762)
        seen = decode(content(picture, transparency=1))
        assert seen.tolist() == [[[200, 30, 30], [255] * 3], [[255] * 3, [200, 30, 30]]]

    def test_transparent_colour_over_white(self):
        """A PNG may declare one colour of an RGB picture transparent."""
        seen = decode(content(Image.fromarray(COLOURS), transparency=(200, 30, 30)))
        assert seen[0].tolist() == [[255, 255, 255], [30, 200, 30]]

    def test_rgba_over_white(self):
        alpha = np.array([[[0], [255]], [[128], [255]]], np.uint8)
        seen = decode(content(Image.fromarray(np.concatenate([COLOURS, alpha], -1))))
        assert seen[0].tolist() == [[255, 255, 255], [30, 200, 30]]
        half = COLOURS[1, 0] * (128 / 255) + 255 * (127 / 255)
        assert np.abs(seen[1, 0] - half).max() <= 1

    def test_greyscale_with_alpha_over_white(self):
        both = np.array([[[40, 255], [40, 0]]], np.uint8)
        assert decode(content(Image.fromarray(both))).tolist() == [[[40] * 3, [255] * 3]]

    def test_16_bit_greyscale_keeps_its_range(self):
        deep = np.array([[0, 257 * 60], [257 * 180, 65535]], np.uint16)
        seen = decode(content(Image.fromarray(deep)))
        assert seen.dtype == np.uint8
        assert seen[..., 0].tolist() == [[0, 60], [180, 255]]

    def test_cmyk(self):
        picture = Image.fromarray(large(COLOURS)).convert("CMYK")
        seen = decode(content(picture, "JPEG", quality=95))
        assert np.abs(seen.astype(int) - large(COLOURS)).mean() < 4

    @pytest.mark.parametrize("format", ["JPEG", "WEBP", "BMP", "TIFF", "GIF"])
    def test_other_formats(self, format):
        seen = decode(content(Image.fromarray(large(COLOURS)), format))
        assert np.abs(seen.astype(int) - large(COLOURS)).mean() < 4

    @pytest.mark.parametrize("format", ["JPEG", "HEIF", "AVIF"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_turned_upright_once(self, orientation, format):
        """EXIF: which side of the stored picture is up; what was stored is the true one, turned back.

        HEIC and AVIF files hold it a second time, as an operation (irot, imir) that pillow-heif does itself.
        """
        true = large(COLOURS)[:24]  # 24 high, 32 wide
        back = {
            **{2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180},
            **{4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE},
            **{6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270},
        }
        stored = Image.fromarray(true)
        if orientation in back:
            stored = stored.transpose(back[orientation])
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = content(stored, format, exif=exif.tobytes(), **FINEST.get(format, {"quality": 95}))
        assert (b"irot" in data or b"imir" in data) == (format != "JPEG" and orientation > 1)
        seen = decode(data)
        assert seen.shape == (24, 32, 3)
        assert np.abs(seen.astype(int) - true).mean() < 6

    def test_a_picture_with_damaged_exif_data_stays_as_it_lies(self):
        exif = Image.Exif()
        exif[0x0112], exif[0x0100] = 6, 16
        data = content(Image.fromarray(large(COLOURS)), "JPEG", exif=exif, quality=95)
        number, text = b"\x01\x00\x00\x04", b"\x01\x00\x00\x02"  # the type of tag 0x0100
        assert number in data
        np.testing.assert_allclose(decode(data)[8::16, 8::16], np.rot90(COLOURS, -1), atol=12)
        np.testing.assert_allclose(decode(data.replace(number, text))[8::16, 8::16], COLOURS, atol=12)

    def test_truncated_jpeg(self):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        data = content(Image.fromarray(noise), "JPEG")
        with pytest.raises(ValueError, match="truncated"):
            decode(data[: len(data) // 2])

    @pytest.mark.parametrize("size", [(178, 218), (17, 31), (8, 8), (1, 1)])
    @pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"quality": 20}])
    def test_plain_jpegs_are_decoded_as_pillow_does(self, size, options):
        noise = np.random.RandomState(0).randint(0, 256, (*size[::-1], 3), np.uint8)
        data = content(Image.fromarray(noise), "JPEG", **options)
        assert plain_jpeg_size(data)
        np.testing.assert_array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data))))

    def test_progressive_jpegs_are_left_to_pillow(self):
        noise = np.random.RandomState(0).randint(0, 256, (31, 17, 3), np.uint8)
        data = content(Image.fromarray(noise), "JPEG", progressive=True)
        assert not plain_jpeg_size(data)
        assert plain_jpeg_size(content(Image.fromarray(noise), "JPEG"))
        np.testing.assert_array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data))))

    def test_a_jpeg_whose_header_promises_too_much_is_not_begun(self):
        data = content(Image.new("RGB", (16, 16)), "JPEG")
        place = data.index(b"\xff\xc0") + 5  # height and width of the frame header
        huge = data[:place] + struct.pack(">HH", 65000, 65000) + data[place + 4 :]
        assert not plain_jpeg_size(huge)
        with pytest.raises(ValueError, match="bomb"):
            decode(huge)

    def test_exif_data_behind_64_kilobytes_turns_the_picture_too(self):
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees clockwise
        tall = content(Image.fromarray(large(COLOURS)), "JPEG", exif=exif, quality=95)
        profile = b"\xff\xe2" + struct.pack(">H", 65535) + bytes(65533)  # two segments that nobody reads
        data = tall[:2] + 2 * profile + tall[2:]
        assert data.index(b"Exif") > 2**17
        assert not plain_jpeg_size(data)
        np.testing.assert_allclose(decode(data)[8::16, 8::16], np.rot90(COLOURS, -1), atol=12)

    @pytest.mark.parametrize("options", [{}, {"icc_profile": True}], ids=["plain", "with profile"])
    def test_cmyk_is_decoded_as_it_is_read(self, options):
        """One decoder for training and for pictures to enlarge: a profile counts in both."""
        if options:
            options = {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()}
        data = content(Image.fromarray(large(COLOURS)).convert("CMYK"), "JPEG", **options)
        np.testing.assert_array_equal(decode(data), read(data).flatten())
        np.testing.assert_allclose(decode(data)[8::16, 8::16], COLOURS, atol=12)

    @pytest.mark.parametrize("cut", [3, 20, 200])
    def test_a_jpeg_that_ends_in_its_header_is_refused(self, cut):
        with pytest.raises(ValueError, match=r"no picture|truncated|header|Truncated"):
            decode(content(Image.fromarray(large(COLOURS)), "JPEG")[:cut])

    @pytest.mark.parametrize("data", [b"", b"?", b"<html>no picture</html>", bytes(1000)])
    def test_no_picture(self, data):
        with pytest.raises(ValueError, match="no picture"):
            decode(data)

    @pytest.mark.parametrize(
        ("width", "says"),
        [(10_000, "truncated"), (10_001, r"200020000 pixels.* 200000000 pixels.*decompression bomb")],
    )
    def test_decompression_bomb(self, width, says):
        """A kilobyte that claims 200 megapixels is begun; more is refused by the header, not by memory."""
        header = struct.pack(">IIBBBBB", width, 20_000, 8, 0, 0, 0, 0)
        rows = png_chunk(b"IDAT", zlib.compress(bytes(100_000)))
        data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + rows + png_chunk(b"IEND", b"")
        for use in (decode, lambda data: read(data, 10_000)):
            with pytest.raises(UnusablePicture, match=says):
                use(data)

    @pytest.mark.parametrize("large", [False, True])
    def test_of_large_pictures_one_is_held_at_a_time(self, monkeypatch, large):
        monkeypatch.setattr(pictures, "LARGE", 32 * 32 - large)
        met = threading.Barrier(2, timeout=0.3 if large else 20)

        def meet_another(picture: np.ndarray) -> bool:
            try:
                met.wait()
            except threading.BrokenBarrierError:
                return False
            return True

        both = [
            content(Image.fromarray(COLOURS.repeat(16, 0).repeat(16, 1)), kind) for kind in ("JPEG", "PNG")
        ]
        with ThreadPool(2) as pool:
            assert pool.map(lambda data: decode(data, meet_another), both) == [not large] * 2

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "HEIF", "AVIF"])
    def test_damaged_bytes_give_a_picture_or_a_reason(self, format):
        good = content(Image.fromarray(large(COLOURS)), format)
        random = np.random.default_rng(5)
        for _ in range(150):
            bad = bytearray(good)
            for place in random.integers(0, len(bad), random.integers(1, 12)):
                bad[place] = random.integers(256)
            try:
                seen = decode(bytes(bad[: random.integers(1, len(bad) + 1)]))
                said = ""
            except ValueError as error:
                said = str(error)
            assert said or (seen.dtype, seen.shape[2]) == (np.uint8, 3)


class TestHeicAndAvif:
    """Their colours after Pillow and pillow-heif wrote them with as little loss as there is."""

    @pytest.mark.parametrize("format", FINEST)
    def test_colours_and_profile(self, format):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        data = content(Image.fromarray(large(COLOURS)), format, icc_profile=profile, **FINEST[format])
        found = read(data)
        np.testing.assert_allclose(found.rgb, large(COLOURS), atol=ROUNDED)
        assert (found.alpha, found.mode, found.profile, found.notes) == (None, "RGB", profile, [])
        np.testing.assert_array_equal(decode(data), found.rgb)

    @pytest.mark.parametrize("format", FINEST)
    def test_alpha(self, format):
        both = large(np.array([[[200, 30, 30, 255], [30, 200, 30, 51]]], np.uint8))
        data = content(Image.fromarray(both), format, **FINEST[format])
        found = read(data)
        assert found.mode == "RGBA"
        np.testing.assert_allclose(found.rgb, both[..., :3], atol=ROUNDED)
        np.testing.assert_allclose(found.alpha, both[..., 3], atol=1)
        over_white = [0.2 * 30 + 0.8 * 255, 0.2 * 200 + 0.8 * 255, 0.2 * 30 + 0.8 * 255]
        np.testing.assert_allclose(decode(data)[8, 24], over_white, atol=2)

    @pytest.mark.parametrize("bits", [10, 12])
    def test_more_than_8_bits_are_told(self, bits, monkeypatch):
        monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
        deep = np.full((32, 32, 3), [65535, 257 * 60, 257 * 180], np.uint16)
        buffer = io.BytesIO()
        pillow_heif.from_bytes("RGB;16", (32, 32), deep.tobytes()).save(buffer, **FINEST["HEIF"])
        found = read(buffer.getvalue())
        assert found.notes == [f"{bits} bits a channel are read as 8"]
        np.testing.assert_allclose(found.rgb, np.full((32, 32, 3), [255, 60, 180]), atol=ROUNDED)

    def test_deep_greyscale_stays_deep(self):
        deep = large(np.array([[0, 20_000], [40_001, 65535]], np.uint16))
        found = read(content(Image.fromarray(deep), "HEIF", quality=-1))
        assert (found.mode, found.notes) == ("I;16", [])
        np.testing.assert_allclose(found.rgb[..., 0], deep, atol=65535 / 1023)  # a step of 10 bits

    def test_of_several_pictures_the_main_one(self):
        red, blue = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
        both = {"save_all": True, "append_images": [blue], **FINEST["HEIF"]}
        for number, colour in enumerate(([255, 0, 0], [0, 0, 255])):
            found = read(content(red, "HEIF", primary_index=number, **both))
            np.testing.assert_allclose(found.rgb[9, 9], colour, atol=ROUNDED)
            assert found.notes == []

    @pytest.mark.parametrize("format", FINEST)
    def test_truncated(self, format):
        data = content(Image.fromarray(large(COLOURS)), format)
        with pytest.raises(UnusablePicture, match=r".") as error:
            decode(data[:-20])
        assert "\n" not in str(error.value)


class TestMadeSmaller:
    @pytest.mark.parametrize(
        ("format", "most", "times", "size"),
        [
            ("JPEG", 160 * 120, 1, (160, 120)),
            ("JPEG", 160 * 120 - 1, 2, (80, 60)),
            ("MPO", 160 * 120 - 1, 2, (80, 60)),
            ("JPEG", 80 * 60 - 1, 4, (40, 30)),
            ("JPEG", 40 * 30 - 1, 8, (20, 15)),
            ("JPEG", 20 * 15 - 1, 16, (10, 8)),  # the last half by averages
            ("PNG", 160 * 120, 1, (160, 120)),
            ("PNG", 160 * 120 - 1, 2, (80, 60)),
            ("PNG", 80 * 60 - 1, 3, (54, 40)),
            ("HEIF", 80 * 60 - 1, 3, (54, 40)),
        ],
    )
    def test_to_at_most_so_many_pixels(self, format, most, times, size):
        true = COLOURS.repeat(60, axis=0).repeat(80, axis=1)
        exif = Image.Exif()
        exif[0x0112] = 6
        lying = Image.fromarray(np.ascontiguousarray(np.rot90(true)))
        found = read(content(lying, format, exif=exif.tobytes()), most)
        told = [f"read at 1/{times} of its size, {size[0]}x{size[1]}"] if times > 1 else []
        assert (found.rgb.shape, found.notes) == ((size[1], size[0], 3), told)
        corners = found.rgb[size[1] // 4 :: size[1] // 2, size[0] // 4 :: size[0] // 2][:2, :2]
        np.testing.assert_allclose(corners, COLOURS, atol=0 if format == "PNG" else 12)

    @pytest.mark.parametrize(
        ("picture", "mode", "expected"),
        [
            (Image.fromarray(np.array([[0, 100], [200, 20]], np.uint8)), "L", 80),
            (Image.fromarray(np.array([[0, 255], [255, 255]], np.uint8)).convert("1"), "L", 191),
            (Image.fromarray(np.array([[0, 40_000], [60_000, 20_000]], np.uint16)), "I;16", 30_000),
            (Image.fromarray(COLOURS).quantize(4), "RGB", 127.5),
        ],
        ids=["greyscale", "black and white", "16 bits", "palette"],
    )
    def test_averages_of_every_kind(self, picture, mode, expected):
        found = read(content(picture), 1)
        assert (found.mode, found.rgb.shape) == (mode, (1, 1, 3))
        np.testing.assert_allclose(found.rgb[0, 0], expected, atol=1)

    def test_what_is_clear_adds_no_colour(self):
        found = read(content(Image.fromarray(np.array([[[200, 9, 9, 255], [0, 0, 0, 0]]], np.uint8))), 1)
        np.testing.assert_allclose(found.rgb[0, 0], [200, 9, 9], atol=1)
        np.testing.assert_allclose(found.alpha, 127.5, atol=0.5)

    def test_inks(self):
        inks = Image.new("CMYK", (64, 64), (200, 40, 0, 20))
        data = content(inks, "JPEG", quality=95)
        small = read(data, 64 * 64 // 4)
        assert (small.mode, small.rgb.shape) == ("CMYK", (32, 32, 3))
        np.testing.assert_allclose(small.rgb[9, 9], read(data).rgb[9, 9], atol=1)


def test_a_photograph_of_90_megapixels(tmp_path, capsys):
    """More than is enlarged whole: it is read smaller, trained on, checked and packed."""
    colour, side = (200, 100, 50), (10_000, 9_000)
    data = content(Image.new("RGB", side, colour), "JPEG")
    with pytest.raises(UnusablePicture, match="10000x9000 is more than 89 million pixels"):
        read(data)
    found = read(data, 16_000_000)
    assert found.rgb.shape == (2_250, 2_500, 3)
    assert found.notes == ["read at 1/4 of its size, 2500x2250"]
    np.testing.assert_allclose(found.rgb[1_000, 1_000], colour, atol=2)
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "large.jpg").write_bytes(data)
    window = folder_source(str(tmp_path / "faces"), Framing()).window(0)
    assert window.shape == (144, 144, 3)
    assert window.base is None  # it does not hold the whole picture
    np.testing.assert_allclose(window, np.broadcast_to(colour, window.shape), atol=2)
    assert download_data.main(["--check", str(tmp_path / "faces")]) == 0
    assert "  10000x9000: 1\n" in capsys.readouterr().out
    assert download_data.main(["--pack", str(tmp_path / "faces")]) == 0
    assert "damaged, left out: 0" in capsys.readouterr().out
