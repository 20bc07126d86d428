"""A run on disk: its three folders, config.json, metrics.jsonl. Needs no TensorFlow for local folders."""

import fcntl
import importlib.metadata
import itertools
import json
import os
import platform
import re
import shutil
from typing import Any, TextIO

from srez.errors import UserError, one_line
from srez.options.config import SCRATCH, Config, fields, to_dict
from srez.options.rules import in_words
from srez.options.stored import from_dict
from srez.runs.trained import (
    CHECKPOINT_NAME,
    CONFIG,
    LOCK,
    MARKER,
    read_description,
    saved_batches,
    start_folder,
    start_weights,
)
from srez.system import files

MARKER_TEXT = "Made by srez: --noresume may move this folder aside.\n"
METRICS = "metrics.jsonl"
ELSEWHERE = "choose another --name or --checkpoint_dir"
PACKAGES = ("tensorflow", "keras", "numpy")


class Run:
    """The folders of one training. Raises UserError where they cannot be written or belong to another run."""

    def __init__(self, config: Config):
        self.config = config
        self.folders = list(dict.fromkeys([config.checkpoint_dir, config.train_dir, config.summary_dir]))
        self.changes: list[str] = []
        self._lock: TextIO | None = None
        self._disks: dict[str, int] = {}  # device numbers of the local folders
        self._description = b""

    def open(self) -> "Run":
        """Refuse what does not fit together, move an old run aside if asked to, make the folders."""
        if self.config.resume and saved_batches(self.config.checkpoint_dir):
            self._compare(read_description(self.config.checkpoint_dir))
        else:
            self._check_start()
        if not self.config.resume:
            self._move_aside()
        for folder in self.folders:
            self._make(folder)
        return self

    def _check_start(self) -> None:
        """Raise UserError where the training cannot begin with start_from."""
        start, own = self.config.start_from, self.config.checkpoint_dir
        if start == SCRATCH:
            return
        if files.real(start_folder(start)) == files.real(own):
            raise UserError(
                f"--start_from={start} is also --checkpoint_dir",
                "leave it out to go on with that training, or give the new one folders of its own (--name)",
            )
        start_weights(self.config)

    def _make(self, folder: str) -> None:
        new = not files.names(folder)
        files.make_folder(folder)
        if new:
            files.write_whole(files.join(folder, MARKER), MARKER_TEXT.encode())
        elif not files.can_write(folder):
            raise UserError(f"'{folder}' cannot be written", "choose another folder")

    def _move_aside(self) -> None:
        """Rename the folders that srez made to NAME.1, or the first number that is free for all."""
        ours = [f.rstrip("/") for f in self.folders if files.exists(files.join(f, MARKER))]
        if saved_batches(self.config.checkpoint_dir) and self.config.checkpoint_dir.rstrip("/") not in ours:
            raise UserError(
                f"--noresume: '{self.config.checkpoint_dir}' holds checkpoints but was not made by srez",
                ELSEWHERE,
            )
        if all(files.names(f) == [MARKER] for f in ours):
            return
        number = 1
        while any(files.exists(f"{f}.{number}") for f in ours):
            number += 1
        for folder in ours:
            if files.exists(folder):  # it may have lain in one that is moved already
                files.rename(folder, f"{folder}.{number}")
                print(f"moved the old {folder} to {folder}.{number}")

    def _compare(self, old: dict[str, Any]) -> None:
        before, now = to_dict(from_dict(old["options"])), to_dict(self.config)
        changed = {
            n: f"{n} was {in_words(n, before[n])}, now {in_words(n, now[n])}"
            for n in now
            if before[n] != now[n]
        }
        if fixed := [changed[f.name] for f in fields() if f.metadata["fixed"] and f.name in changed]:
            self._refuse(fixed)
        self.changes = [f"--{text}" for text in changed.values()]

    def _refuse(self, differences: list[str]) -> None:
        raise UserError(
            f"'{self.config.checkpoint_dir}' holds another run ({'; '.join(differences)})",
            f"set these back, {ELSEWHERE}, or start anew with --noresume",
        )

    def lock(self) -> None:
        """Keep a second training out of checkpoint_dir while this process lives. Raises UserError.

        The kernel lets go of the lock however the process ends, so that a left-over file stops nobody.
        Folders of TensorFlow's filesystems have no locks.
        """
        if files.needs_tensorflow(self.config.checkpoint_dir):
            return
        path = files.join(self.config.checkpoint_dir, LOCK)
        lock = open(path, "a+", errors="replace")  # noqa: SIM115  (open as long as the process)
        lock.seek(0)
        owner = lock.read().strip()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"'{self.config.checkpoint_dir}' is in use by another training ({owner or 'just starting'})",
                f"stop that one, or {ELSEWHERE}",
            ) from None
        except OSError as error:
            print(f"{path}: no lock there ({one_line(error)}), so do not train twice into this folder")
        if owner:
            print(f"taking over the lock of a training that has ended without leaving it ({owner})")
        with files.named(path):
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {platform.node()}\n")
            lock.flush()
        self._lock = lock
        self._disks = {f: disk for f in self.folders if (disk := files.disk(f)) is not None}
        self._clear()

    def _clear(self) -> None:
        """Delete what a killed training left half written."""
        for name in files.names(self.config.checkpoint_dir):
            path = files.join(self.config.checkpoint_dir, name)
            if re.fullmatch(rf"{CHECKPOINT_NAME}-\d+_temp", name):
                shutil.rmtree(path)
            elif re.fullmatch(rf"\.({CONFIG}|{METRICS}|checkpoint)\..+\.\d+\.tmp", name):
                os.remove(path)

    def unlock(self) -> None:
        """Let go of the lock at an orderly end."""
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def make_again(self) -> list[str]:
        """Make the run's folders that have vanished or were emptied during the training anew; their names.

        Raises UserError where another training has taken checkpoint_dir meanwhile, or where a folder's disk
        has gone: what would be written below its mount point could not be seen later.
        """
        lost = []
        for folder, disk in self._disks.items():
            if files.disk(folder) != disk:
                raise UserError(
                    f"'{folder}' has vanished, and its disk with it",
                    "mount that again, then the same command goes on from the last checkpoint",
                )
            if self._is_deserted(folder):
                self._make(folder)
                lost.append(folder)
        if self._lock is not None and not self._lock_is_there():
            self._lock.close()
            self._lock = None
            self.lock()
            path = files.join(self.config.checkpoint_dir, CONFIG)
            if not files.exists(path):
                files.write_whole(path, self._description)
                lost = list(dict.fromkeys([self.config.checkpoint_dir, *lost]))
        return lost

    def _is_deserted(self, folder: str) -> bool:
        if not files.is_folder(folder):
            return True
        with os.scandir(folder) as found:
            left = {entry.name for entry in itertools.islice(found, 2)}
        # a TensorBoard file lies there from the beginning
        return not left or (folder == self.config.summary_dir and left == {MARKER})

    def _lock_is_there(self) -> bool:
        try:
            found = os.stat(files.join(self.config.checkpoint_dir, LOCK))
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._lock.fileno()))

    def describe(self, fingerprint: str, pictures: int) -> None:
        """Write config.json; refuses to go on with other pictures than the checkpoints were trained on."""
        if saved_batches(self.config.checkpoint_dir):
            old = read_description(self.config.checkpoint_dir)["dataset"]
            if old["fingerprint"] != fingerprint:
                was = old["pictures"]
                self._refuse([f"dataset had {was} pictures, now {pictures}, or their sizes differ"])
        content = {
            "options": to_dict(self.config),
            "dataset": {"fingerprint": fingerprint, "pictures": pictures},
            "versions": {"python": platform.python_version()}
            | {package: importlib.metadata.version(package) for package in PACKAGES},
        }
        self._description = (json.dumps(content, indent=1) + "\n").encode()
        files.write_whole(files.join(self.config.checkpoint_dir, CONFIG), self._description)

    @property
    def metrics_path(self) -> str:
        return files.join(self.config.checkpoint_dir, METRICS)

    def log(self, figures: dict[str, float]) -> None:
        """Add one line of figures."""
        files.append(self.metrics_path, json.dumps(figures) + "\n")

    def drop_metrics_after(self, batch: int) -> None:
        """Keep the lines up to a batch, and only whole ones: the others will be written again."""
        path = self.metrics_path
        if not files.exists(path):
            return
        before, good = files.read_bytes(path), read_metrics(path)
        if bad := sum(figures_of(line) is None for line in before.split(b"\n")[:-1]):
            files.write_whole(f"{path}.damaged", before)
            print(f"{path}: {bad} damaged lines left out; as it was it is kept as {path}.damaged")
        text = "".join(json.dumps(line) + "\n" for line in good if line["batch"] <= batch)
        files.write_whole(path, text.encode())


def read_metrics(path: str) -> list[dict[str, float]]:
    """The good lines of a metrics.jsonl; one that was cut short or damaged is left out."""
    return [figures for line in files.read_bytes(path).split(b"\n") if (figures := figures_of(line))]


def figures_of(line: bytes) -> dict[str, float] | None:
    """A line of metrics.jsonl; None where it is damaged."""
    try:
        figures = json.loads(line)
        return figures if isinstance(figures["batch"], int) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
