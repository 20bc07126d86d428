"""A study's folder while it is done: study.toml, a folder for each training, how each ended."""

import json
import os
from typing import Any

from srez.errors import EXIT_DIVERGED, EXIT_DONE, UserError, one_line
from srez.runs.run import METRICS, figures_of, read_metrics
from srez.study import grid
from srez.study.cells import Study, StudyRun, differences
from srez.system import files

STUDY, RUNS, OUTCOME, LOG, LOCK = "study.toml", "runs", "outcome.json", "output.log", "lock"
FOLDERS = ("checkpoint", "train", "summary")  # of a training, in its folder
TAIL_BYTES = 16384  # bytes in which two lines of metrics.jsonl have room
HEADER = (
    "# Written by srez, from a study file and the command line. Another study is refused in this folder.\n"
)


class StudyStore:
    """The folder of a study, which processes and machines may share."""

    def __init__(self, path: str):
        files.require_local("study_dir", path, "must be a local or mounted folder, locks need one")
        self.path = path
        self.study_file = os.path.join(path, STUDY)

    def open(self, study: Study) -> None:
        """Write study.toml; refuses a study that would change or drop trainings which are there."""
        os.makedirs(os.path.join(self.path, RUNS), exist_ok=True)
        if files.exists(self.study_file) and (changed := differences(self.load(), study)):
            more = f"; and {len(changed) - 3} more" if len(changed) > 3 else ""
            raise UserError(
                f"'{self.path}' holds another study ({one_line('; '.join(changed[:3]))}{more})",
                "set these back, or choose another --study_dir",
            )
        files.write_whole(self.study_file, (HEADER + grid.to_toml(study)).encode())

    def load(self) -> Study:
        """The study of the folder. Raises UserError where there is none."""
        if not files.exists(self.study_file):
            raise UserError(f"'{self.path}' holds no study", "name the folder of one with --study_dir")
        return grid.read_study(self.study_file)

    def run(self, name: str, *parts: str) -> str:
        """The path of a training's folder, or of something in it."""
        return os.path.join(self.path, RUNS, name, *parts)

    def outcome(self, name: str) -> dict[str, Any] | None:
        """How a training ended or None: exit (0 done, 3 diverged, else failed), batches, minutes, message."""
        try:
            found = json.loads(files.read_bytes(self.run(name, OUTCOME)))
            return found if {"exit", "batches"} <= found.keys() else None
        except (FileNotFoundError, ValueError, AttributeError):  # none, or damaged: to be made again
            return None

    def write_outcome(self, name: str, outcome: dict[str, Any]) -> None:
        """Note how a training ended; whole or not at all."""
        files.write_whole(self.run(name, OUTCOME), (json.dumps(outcome) + "\n").encode())

    def finished(self, run: StudyRun) -> bool:
        """Whether nothing is left to train; divergence is a result, too."""
        outcome = self.outcome(run.name) or {"exit": None}
        if outcome["exit"] == EXIT_DONE:
            return outcome["batches"] >= run.options["max_batches"]
        return outcome["exit"] == EXIT_DIVERGED

    def metrics(self, name: str) -> list[dict[str, float]]:
        """What a training has told so far, a line a dictionary."""
        path = self.run(name, FOLDERS[0], METRICS)
        return read_metrics(path) if files.exists(path) else []

    def last_metrics(self, name: str) -> dict[str, float]:
        """The last whole line of metrics.jsonl, without reading the others; empty where there is none."""
        path = self.run(name, FOLDERS[0], METRICS)
        if not files.exists(path):
            return {}
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            lines = file.read().split(b"\n")
        return next((figures for line in reversed(lines) if (figures := figures_of(line))), {})
