"""Checkpoints: everything that a training needs to go on as if it had never stopped."""

import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from srez.errors import UserError, one_line
from srez.options.config import Config
from srez.runs.trained import CHECKPOINT_NAME, saved_batches
from srez.system import files

DAMAGE = (tf.errors.OpError, IndexError, ValueError, AssertionError)


class Checkpoints:
    """The checkpoints of a training in its folder: its parts by name, batches done and minutes trained.

    parts: see `Gan.parts`; keep: how many stay, the newest.
    """

    def __init__(self, folder: str, parts: Mapping[str, tf.Module], keep: int = Config.checkpoint_keep):
        self.folder, self._keep = folder, keep
        self._batch = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._minutes = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self._checkpoint = tf.train.Checkpoint(**parts, batch=self._batch, minutes=self._minutes)
        self._manager: tf.train.CheckpointManager | None = None  # made when it is known what is there

    @property
    def paths(self) -> list[str]:
        """The kept checkpoints, oldest first."""
        return [self._path(batch) for batch in saved_batches(self.folder)]

    def _path(self, batch: int) -> str:
        return files.join(self.folder, f"{CHECKPOINT_NAME}-{batch}")

    def save(self, batch: int, minutes: float) -> str:
        """Write a checkpoint; its path."""
        self._batch.assign(np.int64(batch))  # see srez_train.train_batch
        self._minutes.assign(np.float64(minutes))
        # TensorFlow counts saves in a variable of the checkpoint and names files by it: let it count batches,
        # so that a checkpoint does not depend on how often its run was saved
        self._checkpoint.save_counter.assign(np.int64(batch - 1))
        if self._manager is None:
            self._manager_knows(saved_batches(self.folder))
        return self._manager.save()

    def restore(self) -> tuple[int, float]:
        """Take up the newest good checkpoint; batches done and minutes trained, (0, 0.0) where there is none.

        Damaged ones are named and moved aside (.damaged). Raises UserError where none of several is good, or
        the newest belongs to other networks.
        """
        batches = saved_batches(self.folder)
        problems = []
        for batch in reversed(batches):
            path = self._path(batch)
            try:
                done = self.load(path)
            except UserError as error:
                problems.append((path, error))
                continue
            for bad, reason in problems:
                print(f"{reason}; going on from that of batch {batch}")
                self._set_aside(bad)
            self._manager_knows(batches[: batches.index(batch) + 1])
            return done
        if problems:
            raise problems[0][1]
        return 0, 0.0

    def load(self, path: str) -> tuple[int, float]:
        """Take up one checkpoint; batches done and minutes trained. Raises UserError."""
        try:
            self._checkpoint.restore(path).assert_consumed()
        except DAMAGE as error:
            raise UserError(
                f"checkpoint '{path}' is damaged or of other networks ({one_line(error)}); "
                "put a backup back, or start anew with --noresume"
            ) from None
        return int(self._batch.numpy()), float(self._minutes.numpy())

    def _set_aside(self, path: str) -> None:
        for name in files.names(self.folder):
            if name.startswith(path.rsplit("/", 1)[-1] + "."):
                old = files.join(self.folder, name)
                files.rename(old, f"{old}.damaged")

    def _manager_knows(self, batches: list[int]) -> None:
        """Tell the manager what to keep: the list that it finds is not whole after a kill or a damage."""
        paths = [self._path(batch) for batch in batches]
        its_list = files.join(self.folder, "checkpoint")
        now = time.time()  # without times the manager takes all for kept for ever
        if paths:
            tf.compat.v1.train.update_checkpoint_state(
                self.folder,
                paths[-1],
                paths,
                all_model_checkpoint_timestamps=[now + i for i in range(len(paths))],
                last_preserved_timestamp=now - 1,
            )
        elif files.exists(its_list):
            tf.io.gfile.remove(its_list)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, self.folder, self._keep, checkpoint_name=CHECKPOINT_NAME
        )
