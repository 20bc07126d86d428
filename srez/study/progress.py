"""How far a study is and how long it will take, from its trainings' figures; and what is shown of that."""

import math
import time
from collections.abc import Iterable, Sequence
from statistics import fmean

from srez.study.cells import StudyRun
from srez.study.jobs import Job
from srez.study.store import StudyStore

FIGURES = {
    "lpips": "LPIPS {:.3f}",
    "alexnet_frechet": "AlexNet Fréchet {:.1f}",
    "psnr": "PSNR {:.1f} dB",
    "ssim": "SSIM {:.3f}",
    "diversity": "diversity {:.3f}",
}


class Progress:
    """How far the trainings of one process are, `jobs` of them at once, and how long they will take."""

    def __init__(self, store: StudyStore, runs: Sequence[StudyRun], jobs: int):
        self.store, self.runs, self.jobs = store, runs, jobs
        self.overheads: list[float] = []  # minutes of a process beside its training: start, tracing
        self.finished: set[str] = set()
        self.told: dict[str, dict[str, float]] = {run.name: {} for run in runs}
        self.refresh(())

    def refresh(self, running: Iterable[str]) -> None:
        """Read what is there now; `running`: the names of this process's trainings."""
        self.running = set(running)
        for run in self.runs:
            if run.name not in self.finished:
                self.told[run.name] = self.store.last_metrics(run.name)
                if self.store.finished(run):
                    self.finished.add(run.name)

    def ended(self, job: Job, minutes: float) -> None:
        """Note what a training took beside its own minutes, all sessions together."""
        took = (time.monotonic() - job.since) / 60
        self.overheads.append(max(0.0, took - (minutes - job.minutes_before)))

    def batches(self, run: StudyRun) -> int:
        """The last batch in a training's metrics; 0 before the first."""
        return int(self.told[run.name].get("batch", 0))

    @property
    def share(self) -> float:
        """0..1: batches done; a training that is finished early counts whole."""
        wanted = sum(run.options["max_batches"] for run in self.runs)
        done = sum(
            run.options["max_batches"] if run.name in self.finished else self.batches(run)
            for run in self.runs
        )
        return done / wanted if wanted else 1.0

    def remaining(self, others: Iterable[str] = ()) -> float | None:
        """Minutes to go, without some trainings; None before any training has told its pace."""
        paces = self._paces()
        if not paces:
            return None
        overhead = fmean(self.overheads) if self.overheads else 0.0
        minutes, count = 0.0, 0
        for run in self.runs:
            if run.name not in self.finished | set(others):
                left = run.options["max_batches"] - self.batches(run)
                minutes += left * paces.get(run.cell.name, fmean(paces.values()))
                minutes += 0 if run.name in self.running else overhead
                count += 1
        return minutes / max(1, min(self.jobs, count))

    def _paces(self) -> dict[str, float]:
        """Minutes a batch, by cell, of its longest training."""
        paces = {}
        for run in sorted(self.runs, key=self.batches):
            if self.batches(run) and "minutes" in self.told[run.name]:
                paces[run.cell.name] = self.told[run.name]["minutes"] / self.batches(run)
        return paces

    def figures(self, run: StudyRun) -> str:
        """A training's last figures of quality."""
        for line in reversed(self.store.metrics(run.name)):
            shown = [text.format(line[name]) for name, text in FIGURES.items() if name in line]
            if shown:
                return ", ".join(shown)
        return "no figures"


def minutes_text(minutes: float | None) -> str:
    """A time to go, for people."""
    if minutes is None:
        return "?"
    return f"{math.ceil(minutes)}m" if minutes < 120 else f"{minutes / 60:.1f}h"
