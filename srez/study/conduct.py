"""A study: a grid of trainings, each in a process and folder of its own, and its report."""

import itertools
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srez.errors import EXIT_DIVERGED, EXIT_DONE, EXIT_INTERRUPTED, EXIT_USER, PREFIX, UserError
from srez.options.config import Config
from srez.runs.trained import start_weights
from srez.study.cells import Study, StudyRun
from srez.study.grid import override, read_study
from srez.study.jobs import Job, ReportJob, machine_share
from srez.study.lease import EXPIRY_SECONDS, Lease, Leases, State, holder
from srez.study.progress import Progress, minutes_text
from srez.study.store import LOG, StudyStore
from srez.system.machine import gpus
from srez.system.screen import Screen
from srez.system.signals import Stop

POLL_SECONDS, RESCAN_SECONDS, REFRESH_SECONDS = 0.2, 5.0, 5.0  # of signals and ends; others' leases; figures
IDLE_SECONDS = 20.0  # seconds; the training of a study that was killed may be at its last batch
MAX_ATTEMPTS = 2  # at a training that crashes
LINE_SECONDS = 60.0  # between two lines of a percentage, where there is no bar
STUDY_OPTIONS = ("run", "dry_run", "study", "study_dir", "jobs", "study_shard")
RESULTS = {EXIT_DONE: "done", EXIT_DIVERGED: "diverged"}


def run_study(config: Config, stop: Stop, given: Mapping[str, Any], program: str) -> int:
    """Do a study, or what is left of it; the exit code.

    `given`: the options that the command line sets; those that are not about the study override its [base].
    `program`: path of srez_main.py, which each training runs in a process of its own.
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
    """Starts the trainings of one process, sees to their ends, keeps the screen and the report up to date."""

    def __init__(self, config: Config, runs: list[StudyRun], store: StudyStore, stop: Stop, program: str):
        self.config, self.runs, self.store, self.stop = config, runs, store, stop
        self.program = program
        self.numbers = {run.name: number for number, run in enumerate(runs, 1)}
        self.waiting = [run for run in runs if not store.finished(run)]
        self.jobs: dict[int, Job] = {}  # by slot
        self.elsewhere: set[str] = set()  # waiting trainings whose holders live
        self.old_failures = {run.name for run in self.waiting if store.outcome(run.name)}  # tried again
        self.attempts: Counter[str] = Counter()
        self.failed: list[str] = []
        self.devices, self.leases = gpus(), Leases()
        self.progress, self.screen = Progress(store, runs, config.jobs), Screen()
        self.report = ReportJob(store, program)
        self._scan_at = self._show_at = 0.0
        self._busy_at = self._percent_at = time.monotonic()
        self._percent = -1
        self._said: set[str] = set()

    def run_all(self) -> int:
        """The exit code, when all is done, or somebody wants it to stop. Raises UserError."""
        self.stop.defer = True
        try:
            while (self.waiting or self.jobs) and not self.stop.requested:
                self.collect_finished()
                self.start_waiting()
                self.renew_leases()
                self.show()
                self.report.tick()
                if self.nothing_to_do():
                    break
                time.sleep(POLL_SECONDS)
            return self.interrupted() if self.stop.requested else self.done()
        finally:
            self.end_all()
            self.screen.close()

    def nothing_to_do(self) -> bool:
        """Whether other processes have held all trainings that are left for IDLE_SECONDS."""
        if self.jobs or not self.waiting or len(self.elsewhere) < len(self.waiting):
            self._busy_at = time.monotonic()
            return False
        return time.monotonic() - self._busy_at > IDLE_SECONDS

    def start_waiting(self) -> None:
        """Start trainings that nobody has, as many as there is room for."""
        if not self.waiting or len(self.jobs) == self.config.jobs or time.monotonic() < self._scan_at:
            return
        states = {}
        for run in list(self.waiting):
            if len(self.jobs) == self.config.jobs:
                return
            path = Path(self.store.run(run.name))
            if (lease := self.leases.take(path)) is not None:
                self.waiting.remove(run)
                self.elsewhere.discard(run.name)
                self.start_one(run, lease)
            else:
                states[run.name] = self.leases.state(path)
        self.elsewhere = {name for name, state in states.items() if state is State.HELD}
        self._scan_at = time.monotonic() + RESCAN_SECONDS
        if unknown := [name for name, state in states.items() if state is State.UNKNOWN]:
            text = (
                f"watching for up to {EXPIRY_SECONDS / 60:.0f} minutes whether the holders of "
                f"{trainings(len(unknown))} live ({holder(Path(self.store.run(unknown[0])))}, ...)"
            )
            if text not in self._said:
                self._said.add(text)
                self.screen.say(text)

    def start_one(self, run: StudyRun, lease: Lease) -> None:
        """Start a training whose lease is held, unless another has ended it meanwhile."""
        outcome = self.store.outcome(run.name)
        failed = outcome is not None and outcome["exit"] not in RESULTS and run.name not in self.old_failures
        if failed:
            self.failed.append(run.name)
        if failed or self.store.finished(run):
            lease.release()
            return
        slot = next(slot for slot in itertools.count() if slot not in self.jobs)
        machine = machine_share(slot, self.config.jobs, self.devices)
        try:
            job = Job(run, self.store, lease, machine, self.program, self.config.jobs)
        except BaseException:
            lease.release()
            raise
        self.jobs[slot] = job
        gpu = machine.get("CUDA_VISIBLE_DEVICES")
        after = f" after batch {job.first_batch}" if job.first_batch else ""
        self.screen.say(f"{self.title(run)}: starts{after}{f' on GPU {gpu}' if gpu else ''}")

    def collect_finished(self) -> None:
        """Note how trainings ended. Raises UserError where one cannot run as it is."""
        for slot, job in list(self.jobs.items()):
            code = job.process.poll()
            if code is not None:
                del self.jobs[slot]
                self._scan_at = 0.0
                try:
                    self.ended(job, code)
                finally:
                    job.lease.release()

    def ended(self, job: Job, code: int) -> None:
        """One training's end: a result, a problem of the user's, an interruption, or a crash."""
        run, outcome = job.run, job.outcome(code)
        if code in RESULTS:
            self.store.write_outcome(run.name, outcome)
            self.progress.ended(job, outcome["minutes"])
            self.progress.refresh(self.names())
            what = self.progress.figures(run) if code == EXIT_DONE else outcome["message"]
            self.screen.say(
                f"{self.title(run)}: {RESULTS[code]} after {outcome['batches']} batches, "
                f"{outcome['minutes']:.1f} minutes: {what}; {self.summary()}"
            )
            self.report.wanted = True
        elif code == EXIT_USER:
            complaint = outcome["message"].removeprefix(PREFIX)
            raise UserError(f"{run.name} cannot be trained", f"{complaint} ({self.store.run(run.name, LOG)})")
        elif not self.stop.requested:
            self.crashed(job, outcome)

    def crashed(self, job: Job, outcome: dict[str, Any]) -> None:
        """Put a training that crashed back in the queue once, then go on without it."""
        run = job.run
        self.attempts[run.name] += 1
        log = self.store.run(run.name, LOG)
        what = f"{self.title(run)}: ended with code {outcome['exit']} ({outcome['message']}; {log})"
        if self.attempts[run.name] < MAX_ATTEMPTS:
            self.screen.say(f"{what}, tried once more")
            self.waiting.insert(0, run)
        else:
            self.store.write_outcome(run.name, outcome)
            self.failed.append(run.name)
            self.screen.say(f"{what}, given up")

    def renew_leases(self) -> None:
        """Show that this process lives; let go of a training that another took meanwhile."""
        for slot, job in list(self.jobs.items()):
            if not job.lease.renew():
                job.process.kill()
                job.process.wait()
                del self.jobs[slot]
                os.close(job.lease.descriptor)
                self.screen.say(f"{self.title(job.run)}: left to {holder(job.lease.path.parent)}")

    def end_all(self) -> None:
        """Let all trainings finish their batch, save and end."""
        for job in self.jobs.values():
            job.process.terminate()
        for job in self.jobs.values():
            code = job.process.wait()
            if code in RESULTS:
                self.store.write_outcome(job.run.name, job.outcome(code))
            job.lease.release()
        self.jobs.clear()

    def interrupted(self) -> int:
        """What is said and done at a signal; the exit code."""
        self.screen.say(f"{self.stop.requested}: {trainings(len(self.jobs))} to finish a batch and save")
        self.end_all()
        self.progress.refresh(())
        self.screen.say(f"stopped: {self.summary()}; the same command goes on")
        return EXIT_INTERRUPTED

    def done(self) -> int:
        """The last report, and what is left to say; the exit code. Raises UserError."""
        self.stop.defer = False  # nothing is left to save
        self._show_at = 0.0
        self.show()
        code, said = self.report.finish()
        self.screen.say(f"{self.summary()}; {said}" if code == EXIT_DONE else self.summary())
        if self.elsewhere:
            self.screen.say(
                f"{trainings(len(self.elsewhere))} in other hands "
                f"({holder(Path(self.store.run(min(self.elsewhere))))}, ...): "
                "the same command takes over what they leave"
            )
        if self.failed:
            raise UserError(
                f"{trainings(len(self.failed))} failed ({', '.join(self.failed)})",
                f"see their {LOG}; the same command tries them again",
            )
        if code != EXIT_DONE:
            raise UserError("no report", f"{said} (--run report tries again)")
        return EXIT_DONE

    def names(self) -> list[str]:
        return [job.run.name for job in self.jobs.values()]

    def title(self, run: StudyRun) -> str:
        return f"{self.numbers[run.name]} of {len(self.runs)}, {run.name}"

    def summary(self) -> str:
        """How many are finished, and for how long it will go on."""
        finished = f"{len(self.progress.finished)} of {len(self.runs)} finished"
        remaining = self.progress.remaining(self.elsewhere | set(self.failed))
        return f"{finished}, ETA {minutes_text(remaining)}" if remaining else finished

    def show(self) -> None:
        """Show how far the study is, at most once in REFRESH_SECONDS."""
        if time.monotonic() < self._show_at:
            return
        self._show_at = time.monotonic() + REFRESH_SECONDS
        self.progress.refresh(self.names())
        runs = [job.run for job in self.jobs.values()]
        running = [f"{run.name} {self.progress.batches(run)}/{run.options['max_batches']}" for run in runs]
        text = ": ".join(filter(None, (self.summary(), ", ".join(running))))
        percent, line = int(100 * self.progress.share), ""
        if percent > self._percent and time.monotonic() - self._percent_at >= LINE_SECONDS:
            line = f"{percent:3d}% of the study, {text}"
            self._percent, self._percent_at = percent, time.monotonic()
        self.screen.show(percent, text, line)
