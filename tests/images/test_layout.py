"""How pictures are laid out and written."""

import os

import numpy as np

from srez.images import layout
from srez.images.picture import decode


class TestWrite:
    def test_what_is_written_is_read_again(self, tmp_path):
        picture = np.linspace(-0.5, 1.5, 8 * 9 * 3).reshape(8, 9, 3).astype(np.float32)
        layout.write_png(str(tmp_path / "a.png"), picture)
        seen = decode((tmp_path / "a.png").read_bytes())
        assert np.array_equal(seen, layout.to_uint8(picture))
        assert np.abs(seen / 255 - picture.clip(0, 1)).max() <= 0.5 / 255 + 1e-6
        assert os.listdir(tmp_path) == ["a.png"]

    def test_levels_are_rounded_and_clipped(self):
        levels = layout.to_uint8(np.array([-1.0, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.0, 7.0]))
        assert levels.tolist() == [0, 0, 0, 1, 255, 255, 255]

    def test_rows_have_a_picture_each_and_columns_a_batch(self):
        columns = [np.full((3, 2, 4, 3), 10 * c) + np.arange(3)[:, None, None, None] for c in range(4)]
        grid = layout.columns_to_grid(columns)
        assert grid.shape == (6, 16, 3)
        for row in range(3):
            for column in range(4):
                part = grid[2 * row : 2 * row + 2, 4 * column : 4 * column + 4]
                assert (part == 10 * column + row).all()

    def test_side_by_side(self):
        pictures = np.arange(5 * 2 * 3 * 3).reshape(5, 2, 3, 3)
        row = layout.side_by_side(pictures)
        assert row.shape == (2, 15, 3)
        for n in range(5):
            assert np.array_equal(row[:, 3 * n : 3 * n + 3], pictures[n])


class TestTitles:
    def test_pixels_are_repeated_up_to_a_whole_multiple(self):
        pictures = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 3)
        for side, expected in ((3, 3), (4, 6), (6, 6), (7, 9)):
            enlarged = layout.enlarge(pictures, side)
            assert enlarged.shape == (2, expected, expected, 3)
            factor = expected // 3
            for y, x in ((0, 0), (1, 2), (2, 1)):
                part = enlarged[:, factor * y : factor * y + factor, factor * x : factor * x + factor]
                assert (part == pictures[:, y, None, x, None].reshape(2, 1, 1, 3)).all()

    def test_columns_stand_under_their_titles(self):
        """Of 64 pixels, 2 apart: the first of two pictures, the second of one, which leaves white below."""
        dark, grey = (np.full((64, 64, 3), level, np.uint8) for level in (10, 90))
        picture = layout.titled_columns([("a title", [dark, grey]), ("", [grey])], side=64)
        assert picture.shape == (28 + 64 + 2 + 64, 64 + 2 + 64, 3)
        assert (picture[28:92, :64] == 10).all()
        assert (picture[94:, :64] == 90).all()
        assert (picture[28:92, 66:] == 90).all()
        assert (picture[94:, 66:] == 255).all()
        assert (picture[:28, :64] < 128).any()
        assert (picture[:28, 64:] == 255).all()

    def test_a_caption_is_below_and_never_wider_than_its_share(self):
        picture = np.full((20, 100, 3), 50, np.uint8)
        whole = layout.captioned(picture, "", "a text that is far too long for half of the picture")
        assert whole.shape == (48, 100, 3)
        assert (whole[:20] == 50).all()
        assert (whole[20:, :57] == 255).all()  # half, and the margin
        assert (whole[20:, 57:93] < 200).any()
        assert (whole[20:, 94:] == 255).all()
