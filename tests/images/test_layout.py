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
