"""Checkpoints: everything that a training needs to go on as if it had never stopped."""

import re
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from srez.errors import UserError, one_line
from srez.options.config import Config
from srez.runs.trained import CHECKPOINT_NAME, saved_batches
from srez.system import files

DAMAGE_ERRORS = (tf.errors.OpError, IndexError, ValueError, AssertionError)


class Checkpoints:
    """The checkpoints of a training in its folder: its parts by name, batches done and minutes trained.

    parts: see `Gan.parts`; keep: how many stay, the newest.
    """

    def __init__(self, folder: str, parts: Mapping[str, tf.Module], keep: int = Config.checkpoint_keep):
        self.folder, self._keep = folder, keep
        self._parts = [part for name, part in parts.items() if name in ("generator", "critic")]
        self._norm = 0.0
        self._batch = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._minutes = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self._checkpoint = tf.train.Checkpoint(**parts, batch=self._batch, minutes=self._minutes)

    def mark(self) -> None:
        """Take the networks as they are for what they are compared with by `growth`."""
        self._norm = self._norm_of_weights()

    def growth(self) -> float:
        """Norm of the networks' trained weights / what it was when they were marked or saved."""
        return self._norm_of_weights() / self._norm if self._norm else 1.0

    def _norm_of_weights(self) -> float:
        weights = [w for part in self._parts for w in part.trainable_variables]
        return float(np.sqrt(sum(2 * float(tf.nn.l2_loss(tf.cast(w, tf.float64))) for w in weights)))

    @property
    def paths(self) -> list[str]:
        """The kept checkpoints, oldest first."""
        return [self._path(batch) for batch in saved_batches(self.folder)]

    def _path(self, batch: int) -> str:
        return files.join(self.folder, f"{CHECKPOINT_NAME}-{batch}")

    def save(self, batch: int, minutes: float) -> str:
        """Write a checkpoint and delete the oldest beyond those to keep; its path."""
        self._batch.assign(np.int64(batch))  # see srez_train.train_batch
        self._minutes.assign(np.float64(minutes))
        # TensorFlow's own count of saves: a checkpoint must not depend on how often its run was saved
        self._checkpoint.save_counter.assign(np.int64(batch))
        path = self._checkpoint.write(self._path(batch))
        batches = saved_batches(self.folder)
        self._list(batches[-self._keep :])
        for old in batches[: -self._keep]:
            for name in reversed(self._files_of(old)):  # .index first: without it there is no checkpoint
                files.remove(files.join(self.folder, name))
        self.mark()
        return path

    def restore(self) -> tuple[int, float]:
        """Take up the newest good checkpoint; batches done and minutes trained, (0, 0.0) where there is none.

        Damaged ones are named and moved aside (.damaged). Raises UserError where none of several is good, or
        the newest belongs to other networks.
        """
        problems = []
        for batch in reversed(saved_batches(self.folder)):
            try:
                done = self.restore_from(self._path(batch))
            except UserError as error:
                problems.append((batch, error))
                continue
            for bad, reason in problems:
                print(f"{reason.problem}; going on from that of batch {batch}")
                for name in self._files_of(bad):
                    old = files.join(self.folder, name)
                    files.rename(old, f"{old}.damaged")
            self._list(saved_batches(self.folder))
            return done
        if problems:
            raise problems[0][1]
        return 0, 0.0

    def restore_from(self, path: str) -> tuple[int, float]:
        """Take up one checkpoint; batches done and minutes trained. Raises UserError."""
        try:
            self._checkpoint.restore(path).assert_consumed()
        except DAMAGE_ERRORS as error:
            raise UserError(
                f"checkpoint '{path}' is damaged or of other networks ({one_line(error)})",
                "put a backup back, or start anew with --noresume",
            ) from None
        return int(self._batch.numpy()), float(self._minutes.numpy())

    def _files_of(self, batch: int) -> list[str]:
        """The names of a checkpoint's files, sorted."""
        pattern = rf"{CHECKPOINT_NAME}-{batch}\.(index|data-\d+-of-\d+)"
        return [name for name in files.names(self.folder) if re.fullmatch(pattern, name)]

    def _list(self, batches: list[int]) -> None:
        """Write the file `checkpoint`, which tf.train.latest_checkpoint reads, with these batches' names."""
        lines = [f'model_checkpoint_path: "{CHECKPOINT_NAME}-{batches[-1]}"\n']
        lines += [f'all_model_checkpoint_paths: "{CHECKPOINT_NAME}-{batch}"\n' for batch in batches]
        files.write_whole(files.join(self.folder, "checkpoint"), "".join(lines).encode())
