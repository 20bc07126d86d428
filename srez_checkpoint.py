"""Checkpoints: everything that a training needs to go on as if it had never stopped."""

import tensorflow as tf

from srez_config import Config, UserError, one_line
from srez_run import CHECKPOINT_NAME, has_checkpoint
from srez_step import Trainer

DAMAGE = (tf.errors.OpError, IndexError, ValueError, AssertionError)


class Checkpoints:
    """Weights, moving averages, optimizer slots, batches done and minutes trained, in checkpoint_dir."""

    def __init__(self, config: Config, trainer: Trainer):
        self.folder = config.checkpoint_dir
        self._batch = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._minutes = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        parts = {
            "generator": trainer.generator,
            "critic": trainer.critic,
            "generator_optimizer": trainer.generator_optimizer,
            "critic_optimizer": trainer.critic_optimizer,
            "batch": self._batch,
            "minutes": self._minutes,
        }
        if trainer.loss_scale is not None:
            parts["loss_scale"] = trainer.loss_scale
        self._checkpoint = tf.train.Checkpoint(**parts)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, self.folder, config.checkpoint_keep, checkpoint_name=CHECKPOINT_NAME
        )

    @property
    def paths(self) -> list[str]:
        """The kept checkpoints, oldest first."""
        return list(self._manager.checkpoints)

    def save(self, batch: int, minutes: float) -> str:
        """Write a checkpoint; its path."""
        self._batch.assign(batch)
        self._minutes.assign(minutes)
        # TensorFlow counts saves in a variable of the checkpoint and names files by it: let it count batches,
        # so that a checkpoint does not depend on how often its run was saved
        self._checkpoint.save_counter.assign(batch - 1)
        return self._manager.save()

    def restore(self) -> tuple[int, float]:
        """Take up the newest checkpoint; batches done and minutes trained, (0, 0.0) where there is none.

        Raises UserError where it does not fit the networks.
        """
        if not has_checkpoint(self.folder):
            return 0, 0.0
        if not self._manager.latest_checkpoint:
            raise UserError(
                f"'{self.folder}' holds checkpoints but no list of them (its file 'checkpoint'): "
                "put it back, or start anew with --noresume"
            )
        return self.load(self._manager.latest_checkpoint)

    def load(self, path: str) -> tuple[int, float]:
        """Take up one checkpoint; batches done and minutes trained. Raises UserError."""
        try:
            self._checkpoint.restore(path).assert_consumed()
        except DAMAGE as error:
            raise UserError(f"checkpoint '{path}' cannot be restored: {one_line(error)}") from None
        return int(self._batch.numpy()), float(self._minutes.numpy())
