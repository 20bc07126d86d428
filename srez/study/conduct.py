"""A study: a grid of trainings, each in a process and folder of its own, and its report."""

import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from srez.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_USER, PREFIX, UserError
from srez.options.config import Config, fields
from srez.runs.trained import start_weights
from srez.study.cells import Study, StudyRun
from srez.study.engines import ENGINES
from srez.study.grid import override, read_study
from srez.study.progress import Progress, minutes_text
from srez.study.render import last_line, start_report
from srez.study.store import LOG, StudyStore
from srez.study.train import RESULTS, Training
from srez.system.screen import Screen
from srez.system.signals import Stop

POLL_SECONDS, REFRESH_SECONDS = 0.2, 5.0  # between looks at signals and ends, and at figures
# a killed study's training may be at its last batch, and an NFS server keeps the locks of a machine that
# died for a minute and a half
LOCK_SECONDS = 150.0
REPORT_SECONDS = 300.0  # between the starts of two reports
LINE_SECONDS = 60.0  # between two lines of a percentage, where there is no bar
STUDY_OPTIONS = {f.name for f in fields() if f.metadata["group"] in ("command", "study")}


def run_study(
    config: Config,
    stop: Stop,
    given: Mapping[str, Any],
    program: str,
    check_dataset: Callable[[Config], object] = lambda training: None,
) -> int:
    """Do a study, or what is left of it; the exit code.

    `given`: the options that the command line sets; those that are not about the study override its [base].
    `program`: path of srez_main.py, which each training runs in a process of its own.
    `check_dataset`: raises UserError where a training's dataset cannot be used on this machine.
    Exit codes: 0 all trainings of this shard are done, or in other hands; 75 interrupted. Divergence is a
    result. Raises UserError where a training cannot run as it is, or failed.
    """
    overrides = {name: value for name, value in given.items() if name not in STUDY_OPTIONS}
    study = override(read_study(config.study), overrides)
    store = StudyStore(config.study_dir)
    runs = shard(study.runs(), config.study_shard)
    for run in runs:
        try:
            start_weights(run.cell.config(0))
        except UserError as error:
            raise UserError(f"cell {run.cell.title}: {error.problem}", error.remedy) from None
    if not config.dry_run:
        store.open(study)
    if config.engine == "local":
        for training in dict.fromkeys(run.cell.config(0) for run in runs if not store.finished(run)):
            check_dataset(training)
    print("\n".join(plan(study, runs, store, cells=config.dry_run)), flush=True)
    if config.dry_run:
        return EXIT_DONE
    return StudyRunner(config, runs, store, stop, program).run_all()


def shard(runs: list[StudyRun], which: str) -> list[StudyRun]:
    """Every N-th training from the I-th, counted from 1; `which`: 'I/N'."""
    first, step = map(int, which.split("/"))
    return runs[first - 1 :: step]


def trainings(count: int) -> str:
    """So many trainings, in words."""
    return f"{count} training{'s' if count != 1 else ''}"


def plan(study: Study, runs: list[StudyRun], store: StudyStore, cells: bool) -> list[str]:
    """The grid in words, with or without its cells; `runs` are those of this process."""
    grid, everything = study.cells(), study.runs()
    lines = [f"study {study.name}: {study.title}"]
    lines += [f"  {axis}: {', '.join(labels)}" for axis, labels in study.axes.items()]
    datasets = dict.fromkeys(run.options.get("dataset", Config.dataset) for run in everything)
    lines.append(f"  dataset: {', '.join(datasets)}")
    reasons = list(dict.fromkeys(cell.excluded for cell in grid if cell.excluded))
    if cells:
        lines.append("cells:")
        for cell in grid:
            note = f"   left out ({reasons.index(cell.excluded) + 1})" if cell.excluded else ""
            lines.append(f"  {cell.title}{note}")
        lines += [f"({number}) {reason}" for number, reason in enumerate(reasons, 1)]
    left_out = sum(bool(cell.excluded) for cell in grid)
    batches = sum(run.options["max_batches"] for run in everything)
    lines.append(
        f"{len(grid)} cells, {left_out} of them left out, {len(study.seeds)} seeds: "
        f"{trainings(len(everything))}, {batches:,} batches"
    )
    lines.append(f"to do here: {trainings(len(runs))}, {sum(map(store.finished, runs))} of them finished")
    return lines


class StudyRunner:
    """Gives the trainings of a study to an engine, tells how they end, keeps screen and report up to date."""

    def __init__(self, config: Config, runs: list[StudyRun], store: StudyStore, stop: Stop, program: str):
        self.config, self.runs, self.store, self.stop, self.program = config, runs, store, stop, program
        self.titles = {run.name: f"{n} of {len(runs)}, {run.name}" for n, run in enumerate(runs, 1)}
        self.pending: dict[Future, StudyRun] = {}
        self.tried: set[tuple[str, bool]] = set()  # trainings that failed, or (True) were found locked, once
        self.failed: list[str] = []
        self.elsewhere: list[str] = []
        self.progress, self.screen = Progress(store, runs), Screen()
        self.report: subprocess.Popen | None = None
        self.outdated, self._report_at = False, 0.0
        self._show_at, self._percent, self._percent_at = 0.0, -1, time.monotonic()
        self._shown: dict[str, int] = {}  # batches when they were shown last

    def run_all(self) -> int:
        """The exit code, when all is done, or somebody wants it to stop. Raises UserError."""
        self.stop.defer = True
        try:
            with ENGINES[self.config.engine](self.config, self.screen.say) as self.submit:
                self.stop.take()  # Ray has taken SIGTERM
                for run in self.runs:
                    if not self.store.finished(run):
                        self.queue(run)
                while self.pending and not self.stop.requested:
                    for future in wait(self.pending, POLL_SECONDS, FIRST_COMPLETED).done:
                        self.ended(self.pending.pop(future), future.result())
                    self.show()
                    self.refresh_report()
                if self.stop.requested:
                    self.screen.say(f"{self.stop.requested}: trainings finish their batch and save")
            self.progress.refresh()
            if self.stop.requested:
                self.screen.say(f"stopped: {self.summary()}; the same command goes on")
                return EXIT_INTERRUPTED
            self.stop.defer = False  # nothing is left to save
            return self.done()
        finally:
            self.screen.close()

    def queue(self, run: StudyRun, patience: float = 0.0) -> None:
        """Give a training to the engine; patience: seconds to wait for another study's lock."""
        training = Training(run, self.store, self.titles[run.name], self.program, self.config.jobs)
        self.pending[self.submit(training, patience)] = run

    def ended(self, run: StudyRun, outcome: dict[str, Any] | None) -> None:
        """One training's end: a result, a problem of the user's, a failure, or none: others have it in hand.

        In the last two cases it goes to the end of the queue, once for each.
        """
        title, log, case = self.titles[run.name], self.store.run(run.name, LOG), (run.name, outcome is None)
        again = case not in self.tried
        if outcome and outcome["exit"] in RESULTS:
            self.progress.refresh()
            self.outdated = True
            what = self.progress.figures(run) if outcome["exit"] == EXIT_DONE else outcome["message"]
            self.screen.say(
                f"{title}: {RESULTS[outcome['exit']]} after {outcome['batches']} batches, "
                f"{outcome['minutes']:.1f} minutes: {what}; {self.summary()}"
            )
            return
        if outcome and outcome["exit"] == EXIT_USER:
            complaint = outcome["message"].removeprefix(PREFIX)
            raise UserError(f"{run.name} cannot be trained", f"{complaint} ({log})")
        if outcome:
            code, what = outcome["exit"], outcome["message"]
            if code is not None:  # else a node of a cluster could not do it
                what = f"ended with code {code} ({what}; {log})"
            self.screen.say(f"{title}: {what}, {'tried once more' if again else 'given up'}")
        if again:
            self.tried.add(case)
            self.queue(run, LOCK_SECONDS)
        else:
            (self.failed if outcome else self.elsewhere).append(run.name)

    def refresh_report(self) -> None:
        """Render the report anew where there are results that it has not, not too often."""
        idle = self.report is None or self.report.poll() is not None
        if self.outdated and idle and time.monotonic() >= self._report_at:
            self.outdated, self._report_at = False, time.monotonic() + REPORT_SECONDS
            self.report = start_report(self.store, self.program)

    def done(self) -> int:
        """The last report, and what is left to say; the exit code. Raises UserError."""
        if self.report is not None:
            self.report.wait()
        code = start_report(self.store, self.program).wait()
        said = last_line(self.store)
        self.screen.say(f"{self.summary()}; {said}" if code == EXIT_DONE else self.summary())
        if self.elsewhere:
            names = ", ".join(self.elsewhere)
            what = f"{trainings(len(self.elsewhere))} in the hands of another study here ({names})"
            self.screen.say(f"{what}: the same command takes over what it leaves")
        if self.failed:
            raise UserError(
                f"{trainings(len(self.failed))} failed ({', '.join(self.failed)})",
                f"see above and their {LOG}; the same command tries them again",
            )
        if code != EXIT_DONE:
            raise UserError("no report", f"{said} (--run report tries again)")
        return EXIT_DONE

    def summary(self) -> str:
        """How many are finished, and for how long it will go on."""
        finished = f"{len(self.progress.finished)} of {len(self.runs)} finished"
        remaining = self.progress.remaining({*self.elsewhere, *self.failed})
        return f"{finished}, ETA {minutes_text(remaining)}" if remaining else finished

    def show(self) -> None:
        """Show how far the study is, at most once in REFRESH_SECONDS."""
        if time.monotonic() < self._show_at:
            return
        self._show_at = time.monotonic() + REFRESH_SECONDS
        self.progress.refresh()
        before, self._shown = self._shown, dict(self.progress.batches)
        running = ", ".join(
            f"{run.name} {self._shown[run.name]}/{run.options['max_batches']}"
            for run in self.pending.values()
            if self._shown[run.name] > before.get(run.name, self._shown[run.name])
        )
        text = f"{self.summary()}: {running}" if running else self.summary()
        percent, line = int(100 * self.progress.share), ""
        if percent > self._percent and time.monotonic() - self._percent_at >= LINE_SECONDS:
            line = f"{percent:3d}% of the study, {text}"
            self._percent, self._percent_at = percent, time.monotonic()
        self.screen.show(percent, text, line)
