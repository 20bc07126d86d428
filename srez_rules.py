"""Options that contradict each other."""

import re
from collections.abc import Iterator
from typing import Any

NEWEST = "newest"


def contradictions(c: Any) -> Iterator[str]:
    """What is wrong with a srez_config.Config whose values are each in range: one line, naming both flags."""
    if c.loss_func == "wgangp" and c.LAMBDA == 0:
        yield "--LAMBDA=0 with --loss_func=wgangp: the gradient penalty needs a weight, 10 is usual"
    if c.noise_input and c.sample_size not in [c.noise_dimension * k for k in (2, 4, 8, 16)]:
        yield (
            f"--noise_dimension={c.noise_dimension} with --sample_size={c.sample_size}: "
            "the output must be 2, 4, 8 or 16 times as large as the noise"
        )
    if c.noise_input and c.back_projection:
        yield f"--back_projection={c.back_projection} with --input=noise: noise is no picture to be true to"
    if c.noise_input and c.gene_pixel_factor:
        yield f"--gene_pixel_factor={c.gene_pixel_factor:g} with --input=noise: noise has no label"
    if c.crop_size < c.sample_size:
        yield f"--crop_size={c.crop_size} with --sample_size={c.sample_size}: the crop may not be smaller"
    if (c.crop_x == -1) != (c.crop_y == -1):
        yield f"--crop_x={c.crop_x} with --crop_y={c.crop_y}: set both or neither"
    if c.compare and not c.face:
        yield "--compare without --face: only a face that was averaged down has an original to compare with"
    if c.all_checkpoints and c.checkpoint != NEWEST:
        yield f"--all_checkpoints with --checkpoint={c.checkpoint}: give one of them"
    if c.run == "train" and not c.train_time and not c.max_batches:
        yield "--train_time=0 with --max_batches=0: nothing says when to stop, set one of them"
    if c.run == "study" and c.strategy == "multiworker":
        yield (
            "--strategy=multiworker with --run=study: machines share a study by its trainings, "
            "give each machine the same --study_dir or a --study_shard"
        )
    share = re.fullmatch(r"(\d+)/(\d+)", c.study_shard)
    if share is None or not 1 <= int(share[1]) <= int(share[2]):
        yield f"--study_shard={c.study_shard}: must be I/N with I from 1 to N, as in 2/4"
