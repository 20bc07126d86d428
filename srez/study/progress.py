"""How far a study is and how long it will take, from its trainings' figures; and what is shown of that."""

import math
import time
from collections.abc import Collection, Sequence

from srez.study.cells import StudyRun
from srez.study.store import StudyStore

FIGURES = {
    "lpips": "LPIPS {:.3f}",
    "alexnet_frechet": "AlexNet Fréchet {:.1f}",
    "psnr": "PSNR {:.1f} dB",
    "ssim": "SSIM {:.3f}",
    "diversity": "diversity {:.3f}",
}


class Progress:
    """How far some trainings of a study are, since when, and how long the others will take."""

    def __init__(self, store: StudyStore, runs: Sequence[StudyRun]):
        self.store, self.runs = store, runs
        self.finished: set[str] = set()
        self.batches: dict[str, int] = {}  # by name; of a training that is finished early all of them
        self.refresh()
        self._first, self._since = sum(self.batches.values()), time.monotonic()
        self._finished_before = len(self.finished)

    def refresh(self) -> None:
        """Read what is there now."""
        for run in self.runs:
            if run.name not in self.finished:
                self.batches[run.name] = int(self.store.last_metrics(run.name).get("batch", 0))
                if self.store.finished(run):
                    self.finished.add(run.name)
                    self.batches[run.name] = run.options["max_batches"]

    @property
    def share(self) -> float:
        """0..1: batches done."""
        wanted = sum(run.options["max_batches"] for run in self.runs)
        return sum(self.batches.values()) / wanted if wanted else 1.0

    def remaining(self, others: Collection[str] = ()) -> float | None:
        """Minutes to go, without some trainings, at the pace of all so far; None until one more is finished.

        Before that the pace is mostly that of starting and compiling.
        """
        done = sum(self.batches.values()) - self._first
        left = sum(
            run.options["max_batches"] - self.batches[run.name] for run in self.runs if run.name not in others
        )
        known = done > 0 and len(self.finished) > self._finished_before
        return (time.monotonic() - self._since) / 60 * left / done if known else None

    def figures(self, run: StudyRun) -> str:
        """A training's last figures of quality."""
        for line in reversed(self.store.metrics(run.name)):
            shown = [text.format(line[name]) for name, text in FIGURES.items() if name in line]
            if shown:
                return ", ".join(shown)
        return "no figures"


def minutes_text(minutes: float) -> str:
    """A time to go, for people."""
    return f"{math.ceil(minutes)}m" if minutes < 120 else f"{minutes / 60:.1f}h"
