"""What TensorBoard shows of a training: figures in groups, the held-out faces, the options."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2 as hp
from tensorboard.plugins.scalar.summary_v2 import scalar_pb

from srez.images import layout
from srez.images.layout import FACE_SIDE, GRID_COLUMNS, GRID_FACES
from srez.options.config import Config, fields
from srez.options.rules import in_words
from srez.runs.figures import FIGURES

HPARAM_GROUPS = ("training", "data", "networks", "objective", "optimizer", "machine")  # of options
OUTPUTS, FACES = "generator_output", "quality/faces"  # tags of pictures; the first is 2017's
SHOWN_FACES = 4  # in a picture of FACES: all ten would double what a training writes


class Board:
    """The TensorBoard file of a training, in its summary_dir."""

    def __init__(self, config: Config):
        """Begin a file; one that was deleted would take figures and show nothing."""
        self.config = config
        self._described: set[str] = set()  # the first value of each figure is enough for TensorBoard
        self._summary = tf.summary.create_file_writer(config.summary_dir)
        self._write(hp.hparams_pb(hparams(config)), 0)

    def figures(self, figures: Mapping[str, float]) -> None:
        """Write one batch's figures, by their names in metrics.jsonl, `batch` among them."""
        event = Summary()  # all in one: tf.summary.scalar is a millisecond each
        for name, value in figures.items():
            if name != "batch":
                about = FIGURES[name]
                text = None if name in self._described else about.text
                event.MergeFrom(scalar_pb(about.tag(name), value, text))
        self._described |= figures.keys()
        self._write(event, figures["batch"])

    def faces(self, batch: int, columns: Sequence[np.ndarray]) -> None:
        """Write the held-out faces of a batch, the columns of a grid: [n, S, S, 3] each, in [0, 1]."""
        titles = GRID_COLUMNS[self.config.input]
        pictures = dict(zip(titles, map(layout.to_uint8, columns), strict=True))
        shown = [(title, layout.enlarge(column[:SHOWN_FACES])) for title, column in pictures.items()]
        with self._summary.as_default(step=np.int64(batch)):
            text = "The generator's output for held-out faces."
            tf.summary.image(OUTPUTS, pictures["output"], max_outputs=GRID_FACES, description=text)
            text = f"Held-out faces: {', '.join(titles)}. Pixels are repeated."
            tf.summary.image(FACES, layout.titled_columns(shown, FACE_SIDE)[None], description=text)

    def _write(self, summary: Summary, batch: int) -> None:
        with self._summary.as_default():
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=np.int64(batch))
        self._summary.flush()

    def close(self) -> None:
        """Close the file."""
        self._summary.close()


def hparams(config: Config) -> dict[str, bool | int | float | str]:
    """The options that a training's result depends on, as TensorBoard's HParams shows them."""
    names = ["dataset", *(f.name for f in fields() if f.metadata["group"] in HPARAM_GROUPS)]
    return {name: in_words(name, getattr(config, name)) for name in names}
