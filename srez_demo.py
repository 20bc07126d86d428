"""Films of a training: its grids in order and the newest checkpoint; for noise a walk between faces."""

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import tensorflow as tf

from srez.data.dataset import open_dataset
from srez.data.samples import grid
from srez.errors import EXIT_DONE, UserError, few, one_line
from srez.images import layout
from srez.images.layout import GRID_FACES, GRID_NAME
from srez.images.picture import decode
from srez.options.config import Config
from srez.runs.trained import load_config, replace_folders, saved_batches
from srez.system import files
from srez.training.checkpoints import Checkpoints
from srez_model import Gan

FILM, WALK = "demo1.mp4", "demo_interpolation.mp4"
FRAME_RATE = 24  # frames a second
MIN_FILM_SECONDS, MAX_FRAME_SECONDS, MIN_FRAME_SECONDS, LAST_FRAME_SECONDS = 6.0, 1.0, 1 / FRAME_RATE, 2.0
WALK_STOPS, WALK_STEPS = 5, 2 * FRAME_RATE


def demo(config: Config) -> int:
    """Make the films of a training in train_dir; the exit code. Raises UserError without anything to show."""
    frames = read_grids(config.train_dir)
    maker = FrameMaker(config) if saved_batches(config.checkpoint_dir) else None
    if maker is not None:
        frames |= maker.frames(newest_only=bool(frames), known=frames)
    if not frames:
        raise UserError(
            f"nothing to show: no grids in '{config.train_dir}', no checkpoint in '{config.checkpoint_dir}'",
            "train first (--run train) or name the run's --train_dir and --checkpoint_dir",
        )
    files.make_folder(config.train_dir)
    pictures = one_size([frames[batch] for batch in sorted(frames)])
    write_film(files.join(config.train_dir, FILM), pictures, durations(len(pictures)))
    if maker is not None and maker.config.noise_input:
        walk = maker.walk()
        write_film(files.join(config.train_dir, WALK), walk, [1 / FRAME_RATE] * len(walk))
    return EXIT_DONE


def read_grids(folder: str) -> dict[int, np.ndarray]:
    """The grids of a training by batch, uint8 [h, w, 3]; a damaged one is named and left out."""
    pattern = re.compile(re.escape(GRID_NAME).replace(re.escape("{:06d}"), r"(\d{6,})"))
    frames, skipped = {}, []
    for name in files.names(folder):
        if match := pattern.fullmatch(name):
            path = files.join(folder, name)
            try:
                frames[int(match[1])] = decode(files.read_bytes(path))
            except (ValueError, OSError, tf.errors.OpError) as error:
                skipped.append(f"skipped {path}: {one_line(error)}")
    for line in few(skipped, "grids"):
        print(line)
    return frames


class FrameMaker:
    """Makes frames from the checkpoints of a run, whose shape its config.json tells."""

    def __init__(self, config: Config):
        self.config = replace_folders(load_config(config.checkpoint_dir), config)
        self.gan = Gan(self.config)
        self.checkpoints = Checkpoints(self.config.checkpoint_dir, self.gan.parts)

    def frames(self, newest_only: bool, known: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Grids by batch from the newest checkpoint, or all; those that are known already are left out."""
        paths = self.checkpoints.paths[-1:] if newest_only else self.checkpoints.paths
        paths = [p for p in paths if int(p.rsplit("-", 1)[1]) not in known]
        if not paths:
            return {}
        try:
            test = open_dataset(self.config).test_batch()
        except UserError as error:
            if not newest_only:
                raise
            print(f"no last frame from the checkpoint: {error}")
            return {}
        label, feature = test.label[:GRID_FACES], test.feature[:GRID_FACES]
        found = {}
        for path in paths:
            batch, _ = self.checkpoints.restore_from(path)
            found[batch] = layout.to_uint8(grid(self.gan.sample(feature), label, feature, self.config))
        return found

    def walk(self) -> list[np.ndarray]:
        """Frames between random points of noise and back to the first, two rows of five faces."""
        self.checkpoints.restore_from(self.checkpoints.paths[-1])
        side = self.config.noise_dimension
        random = np.random.default_rng(self.config.random_seed)
        stops = random.uniform(-1, 1, (WALK_STOPS, GRID_FACES, side, side, 3)).astype(np.float32)
        frames = []
        for here, there in zip(stops, np.roll(stops, -1, axis=0), strict=True):
            for share in np.arange(WALK_STEPS, dtype=np.float32) / WALK_STEPS:
                faces = self.gan.sample(tf.constant((1 - share) * here + share * there))
                rows = [layout.side_by_side(row) for row in np.split(faces, 2)]
                frames.append(layout.to_uint8(np.concatenate(rows)))
        return frames


def durations(count: int) -> list[float]:
    """Seconds for each frame: a film of some seconds, however few there are; the last one stays longer."""
    each = min(MAX_FRAME_SECONDS, max(MIN_FRAME_SECONDS, MIN_FILM_SECONDS / count))
    return [each] * (count - 1) + [max(each, LAST_FRAME_SECONDS)]


def one_size(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The pictures of the last one's size; others come from another run in the same folder."""
    same = [p for p in pictures if p.shape == pictures[-1].shape]
    if len(same) < len(pictures):
        print(f"{len(pictures) - len(same)} grids of another size left out")
    return same


def write_film(path: str, pictures: Sequence[np.ndarray], seconds: Sequence[float]) -> None:
    """Write uint8 pictures [h, w, 3] as H.264 in yuv420p, whole or not at all. Raises UserError."""
    height, width = pictures[0].shape[:2]
    even = [np.pad(p, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") for p in pictures]
    clip = import_moviepy().ImageSequenceClip(even, durations=list(seconds))
    with tempfile.TemporaryDirectory() as folder:
        temporary = os.path.join(folder, "film.mp4")
        options = ["-pix_fmt", "yuv420p", "-movflags", "+faststart", "-crf", "16"]
        clip.write_videofile(
            temporary, fps=FRAME_RATE, codec="libx264", audio=False, ffmpeg_params=options, logger=None
        )
        files.write_whole(path, files.read_bytes(temporary))
    print(f"film: {path} ({len(pictures)} frames, {sum(seconds):.1f} s)")


def import_moviepy() -> ModuleType:
    """The package moviepy, whose ffmpeg can encode H.264. Raises UserError where it has none that can."""
    remedy = "set FFMPEG_BINARY to one with libx264, or unset it and pip install imageio-ffmpeg, which has it"
    try:
        import moviepy  # late: it looks for ffmpeg

        program = moviepy.config.FFMPEG_BINARY
        encoders = subprocess.run([program, "-encoders"], capture_output=True, check=False).stdout
    except (OSError, RuntimeError) as error:
        tried = os.environ.get("FFMPEG_BINARY") or os.environ.get("IMAGEIO_FFMPEG_EXE") or "ffmpeg"
        raise UserError(f"no film: '{tried}' cannot be started ({one_line(error)})", remedy) from None
    if b" libx264 " not in encoders:
        raise UserError(f"no film: '{program}' is no ffmpeg with the encoder libx264", remedy)
    return moviepy
