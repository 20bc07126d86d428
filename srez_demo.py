"""Films of a training: its grids in order and the newest checkpoint; for noise a walk between faces."""

import contextlib
import dataclasses
import errno
import itertools
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import imageio_ffmpeg
import numpy as np
import tensorflow as tf

from srez.data.dataset import open_dataset
from srez.data.samples import grid_columns
from srez.errors import EXIT_DONE, EXIT_INTERRUPTED, UserError, few, one_line
from srez.images import layout
from srez.images.layout import FACE_SIDE, GRID_COLUMNS, GRID_FACES
from srez.images.picture import decode, size_of
from srez.options.config import Config
from srez.runs.run import METRICS, read_metrics
from srez.runs.trained import load_config, nothing_to_show, replace_folders, saved_batches
from srez.system import files
from srez.system.signals import Interrupted, Stop
from srez.training.checkpoints import Checkpoints
from srez_model import Gan

FILM, WALK = "demo1.mp4", "demo_interpolation.mp4"
FRAME_RATE = 24  # frames a second
SHORT_FILM = 6 * FRAME_RATE  # frames of all grids but the last, where there are few
LONGEST_SHOWN, LAST_SHOWN = FRAME_RATE, 2 * FRAME_RATE  # frames of a grid at most, and of the last
WALK_STOPS, WALK_STEPS = 5, 2 * FRAME_RATE
HEADER_BYTES = 65_536  # of a grid's file, in which its size stands
UNREADABLE = (ValueError, OSError, tf.errors.OpError)  # what reading a damaged grid raises
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@dataclass(frozen=True)
class Grid:
    """A grid that is read or made when it is shown, so that memory holds one of them.

    path: its file or checkpoint. shape: the picture's, uint8 [h, w, 3]. picture: makes it; raises UNREADABLE.
    """

    path: str
    shape: tuple[int, ...]
    picture: Callable[[], np.ndarray]


def demo(config: Config, stop: Stop) -> int:
    """Make the films of a training in train_dir; the exit code. Raises UserError without anything to show."""
    grids = find_grids(config.train_dir)
    maker = FrameMaker(config) if saved_batches(config.checkpoint_dir) else None
    if maker is not None:
        grids |= maker.grids(newest_only=bool(grids), known=grids)
    if not grids:
        raise nothing_to_show(config)
    files.make_folder(config.train_dir)
    run = maker.config if maker is not None else config
    ordered = one_size(explained(grids, run))
    shown = schedule(len(ordered), config.demo_seconds)
    if len(shown) < len(ordered):
        print(f"{len(shown)} of {len(ordered)} grids shown (--demo_seconds={config.demo_seconds})")
    try:
        write_film(files.join(config.train_dir, FILM), frames_of(ordered, shown), stop)
        if maker is not None and maker.config.noise_input:
            write_film(files.join(config.train_dir, WALK), ((face, 1) for face in maker.walk()), stop)
    except Interrupted as signal:
        print(f"{signal}: stopped; the film that was being made is as it was before")
    return EXIT_INTERRUPTED if stop.requested else EXIT_DONE


def find_grids(folder: str) -> dict[int, Grid]:
    """The grids of a training by batch; files that are no pictures are named and left out."""
    grids, skipped = {}, []
    for name in files.names(folder):
        if (batch := layout.batch_of_grid(name)) is not None:
            path = files.join(folder, name)
            try:
                width, height = size_of(files.read_bytes(path, HEADER_BYTES))
            except UNREADABLE as error:
                skipped.append(f"skipped {path}: {one_line(error)}")
                continue
            read = partial(lambda path: decode(files.read_bytes(path)), path)
            grids[batch] = Grid(path, (height, width, 3), read)
    for line in few(skipped, "grids"):
        print(line)
    return grids


def explained(grids: Mapping[int, Grid], run: Config) -> list[Grid]:
    """Grids by batch as the film of a run shows them, in order: with titles, batch and, where known, PSNR."""
    path = files.join(run.checkpoint_dir, METRICS)
    lines = read_metrics(path) if files.exists(path) else []
    psnr = {line["batch"]: line["psnr"] for line in lines if isinstance(line.get("psnr"), float)}

    def frame(batch: int) -> np.ndarray:
        known = f"held-out faces: PSNR {psnr[batch]:.2f} dB" if batch in psnr else ""
        return layout.captioned(titled(grids[batch].picture(), run), f"batch {batch:,}", known)

    return [dataclasses.replace(grids[batch], picture=partial(frame, batch)) for batch in sorted(grids)]


def titled(grid: np.ndarray, run: Config) -> np.ndarray:
    """A grid of a run, uint8 [h, w, 3], with faces of at least FACE_SIDE pixels under titles: [h, w, 3].

    Its lower half stands to the right of the upper one. A picture that is no grid of this run is enlarged
    alone, since its columns are not known.
    """
    side, titles = run.sample_size, GRID_COLUMNS[run.input]
    rows, rest = divmod(len(grid), side)
    if rest or not rows or grid.shape[1] != side * len(titles):
        factor = -(-FACE_SIDE // side)
        return grid.repeat(factor, 0).repeat(factor, 1)
    # [rows * side, columns * side, 3] -> [columns, rows, side, side, 3]
    faces = layout.enlarge(grid.reshape(rows, side, len(titles), side, 3).transpose(2, 0, 1, 3, 4))
    half = -(-rows // 2)
    parts = [faces[:, :half], faces[:, half:]] if rows > 1 else [faces]
    return layout.titled_columns(
        [column for part in parts for column in zip(titles, part, strict=True)], FACE_SIDE
    )


def frames_of(grids: Sequence[Grid], shown: Mapping[int, int]) -> Iterator[tuple[np.ndarray, int]]:
    """The pictures of some grids, each with its number of frames; damaged ones are named and left out."""
    skipped = []
    for index, count in shown.items():
        try:
            yield grids[index].picture(), count
        except UNREADABLE as error:
            skipped.append(f"skipped {grids[index].path}: {one_line(error)}")
    for line in few(skipped, "grids"):
        print(line)


class FrameMaker:
    """Makes frames from the checkpoints of a run, whose shape its config.json tells."""

    def __init__(self, config: Config):
        self.config = replace_folders(load_config(config.checkpoint_dir), config)
        self.gan = Gan(self.config)
        self.checkpoints = Checkpoints(self.config.checkpoint_dir, self.gan.parts)

    def grids(self, newest_only: bool, known: Mapping[int, object]) -> dict[int, Grid]:
        """Grids by batch from the newest checkpoint, or all; those that are known already are left out."""
        paths = self.checkpoints.paths[-1:] if newest_only else self.checkpoints.paths
        by_batch = {int(path.rsplit("-", 1)[1]): path for path in paths}
        by_batch = {batch: path for batch, path in by_batch.items() if batch not in known}
        if not by_batch:
            return {}
        try:
            test = open_dataset(self.config).test_batch()
        except UserError as error:
            if not newest_only:
                raise
            print(f"no last frame from the checkpoint: {error}")
            return {}
        label, feature = test.label[:GRID_FACES], test.feature[:GRID_FACES]

        def picture(path: str) -> np.ndarray:
            self.checkpoints.restore_from(path)
            columns = grid_columns(self.gan.sample(feature), label, feature, self.config)
            return layout.to_uint8(layout.columns_to_grid(columns))

        last = max(by_batch)
        newest = picture(by_batch[last])  # now, since it has the size of all
        found = {batch: Grid(path, newest.shape, partial(picture, path)) for batch, path in by_batch.items()}
        return found | {last: Grid(by_batch[last], newest.shape, lambda: newest)}

    def walk(self) -> Iterator[np.ndarray]:
        """Frames between random points of noise and back to the first, two rows of five faces."""
        self.checkpoints.restore_from(self.checkpoints.paths[-1])
        side = self.config.noise_dimension
        random = np.random.default_rng(self.config.random_seed)
        stops = random.uniform(-1, 1, (WALK_STOPS, GRID_FACES, side, side, 3)).astype(np.float32)
        for here, there in zip(stops, np.roll(stops, -1, axis=0), strict=True):
            for share in np.arange(WALK_STEPS, dtype=np.float32) / WALK_STEPS:
                faces = self.gan.sample(tf.constant((1 - share) * here + share * there))
                rows = [layout.side_by_side(row) for row in np.split(layout.enlarge(faces), 2)]
                picture = layout.to_uint8(np.concatenate(rows))
                yield layout.captioned(picture, "faces from noise, on the way between random points")


def one_size(grids: Sequence[Grid]) -> list[Grid]:
    """The grids of the last one's size; others come from another run in the same folder."""
    same = [g for g in grids if g.shape == grids[-1].shape]
    if len(same) < len(grids):
        print(f"{len(grids) - len(same)} grids of another size left out")
    return same


def schedule(grids: int, seconds: int) -> dict[int, int]:
    """Which of so many grids a film of at most `seconds` shows: by index, for how many frames each.

    The first and the last are among them, the others chosen evenly. A film is some seconds long, however few
    grids there are; the last one stays longer.
    """
    before_last = seconds * FRAME_RATE - LAST_SHOWN
    shown = min(grids, before_last + 1)
    each = max(1, min(LONGEST_SHOWN, min(SHORT_FILM, before_last) // shown))
    indices = [i * (grids - 1) // max(1, shown - 1) for i in range(shown)]
    return dict.fromkeys(indices, each) | {grids - 1: LAST_SHOWN}


def write_film(path: str, pictures: Iterator[tuple[np.ndarray, int]], stop: Stop) -> None:
    """Write uint8 pictures [h, w, 3], each for so many frames, as H.264 in yuv420p, whole or not at all.

    Raises UserError or OSError where ffmpeg made no whole film, and Interrupted after a signal.
    """
    program = find_ffmpeg()
    with stop.deferred(), tempfile.TemporaryDirectory() as folder:
        temporary = os.path.join(folder, "film.mp4")
        written, said = encode(program, temporary, pictures, stop)
        if count_frames(program, temporary, stop) != written:
            raise failure(said, f"is no whole film of {written} frames")
        files.write_whole(path, files.read_bytes(temporary))
    print(f"film: {path} ({written} frames, {written / FRAME_RATE:.1f} s)")


def encode(
    program: str, path: str, pictures: Iterator[tuple[np.ndarray, int]], stop: Stop
) -> tuple[int, str]:
    """Let ffmpeg write a film; how many frames it was given, and what it said of errors."""
    first = next(pictures, None)
    if first is None:
        raise UserError(
            "nothing to show: no grid can be read", "put whole ones back, or train on (--run train)"
        )
    height, width = (side + side % 2 for side in first[0].shape[:2])
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {FRAME_RATE} -i -"
    film = "-codec:v libx264 -crf 16 -pix_fmt yuv420p -movflags +faststart"
    words = [program, "-y", "-loglevel", "error", *source.split(), *film.split(), path]
    written, said = 0, []
    with child(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        listener = threading.Thread(target=lambda: said.append(process.stderr.read()))
        listener.start()
        with contextlib.suppress(BrokenPipeError):  # it says why
            for picture, count in itertools.chain([first], pictures):
                rest = ((0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0))
                frame = np.pad(picture, rest, mode="edge").tobytes()
                for _ in range(count):
                    stop.check()
                    process.stdin.write(frame)
                    written += 1
            process.stdin.close()
        while process.poll() is None:
            stop.check()
            time.sleep(0.02)
        listener.join()
    stop.check()
    text = said[0].decode(errors="replace")
    if process.returncode:
        raise failure(text, f"cannot be whole, since it ended with code {process.returncode}")
    return written, text


def count_frames(program: str, path: str, stop: Stop) -> int:
    """How many frames of a film ffmpeg can decode; 0 where the film is damaged."""
    words = [program, "-nostdin", "-loglevel", "error", "-xerror", "-i", path, "-f", "framecrc", "-"]
    count = 0
    with child(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        for line in process.stdout:
            stop.check()
            count += not line.startswith(b"#")
    return 0 if process.returncode else count


@contextlib.contextmanager
def child(words: Sequence[str], **pipes: int) -> Iterator[subprocess.Popen]:
    """A process that a terminal's signals do not reach; killed where the block fails, and waited for."""
    process = subprocess.Popen(words, start_new_session=True, **pipes)
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()
        for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
            with contextlib.suppress(BrokenPipeError):  # what was written last and not taken
                pipe.close()


def failure(said: str, found: str) -> Exception:
    """Why there is no film: the disk, where ffmpeg said so, else what was found of its file."""
    for number in DISK_ERRORS:
        if os.strerror(number) in said:
            return OSError(number, os.strerror(number), f"no film: {tempfile.gettempdir()} (TMPDIR)")
    remedy = "give the same command again; if this comes again, set FFMPEG_BINARY to another ffmpeg"
    reason = f" ({one_line(said)})" if said.strip() else ""
    return UserError(f"no film: what ffmpeg wrote {found}{reason}", remedy)


def find_ffmpeg() -> str:
    """An ffmpeg that can encode H.264: FFMPEG_BINARY, or that of imageio-ffmpeg. Raises UserError."""
    remedy = "set FFMPEG_BINARY to one with libx264, or unset it and pip install imageio-ffmpeg, which has it"
    program = os.environ.get("FFMPEG_BINARY")
    try:
        program = program or imageio_ffmpeg.get_ffmpeg_exe()
        encoders = subprocess.run([program, "-encoders"], capture_output=True, check=False).stdout
    except (OSError, RuntimeError) as error:
        tried = program or os.environ.get("IMAGEIO_FFMPEG_EXE") or "ffmpeg"
        raise UserError(f"no film: '{tried}' cannot be started ({one_line(error)})", remedy) from None
    if b" libx264 " not in encoders:
        raise UserError(f"no film: '{program}' is no ffmpeg with the encoder libx264", remedy)
    return program
