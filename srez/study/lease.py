"""Who works on what, in a folder that several processes and machines share.

A lease is a file `claim.N` in the folder that it is for, made with O_EXCL, which is atomic on local disks and
on NFS from version 3. The highest N holds the folder. Nobody deletes a lease: whoever takes over makes N + 1,
and only one can, so that two who find the same lease left behind do not both get the folder. It is left when

- its holder released it, by setting its modification time to zero;
- it was made on this machine since that was started, and the kernel's lock on it is gone. Holder and training
  share the lock, and the kernel drops it with the last of them, however they end: no process number counts;
- it was made elsewhere, and its modification time, which its holder renews every 30 seconds, has not moved
  for five minutes of this process's own clock: the machines' clocks need not agree.
"""

import contextlib
import enum
import fcntl
import json
import os
import platform
import re
import time
from pathlib import Path

RENEWAL_SECONDS, EXPIRY_SECONDS = 30.0, 300.0
BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")  # another one on every machine and after every start


class State(enum.Enum):
    """Whether the newest lease on a folder is free to be taken, held, or not known to be either."""

    FREE = "there is none, or it was left behind"
    HELD = "its holder lives"
    UNKNOWN = "its holder is elsewhere, and has not shown life while this process looked on"


class Lease:
    """A folder that is this process's until it is released, if `renew` is called often."""

    def __init__(self, path: Path, descriptor: int):
        self.path, self.descriptor = path, descriptor
        self._renewed_at = time.time()

    def renew(self) -> bool:
        """Show life, if that is due; False where another took the folder, after a sleep of this machine."""
        if abs(time.time() - self._renewed_at) < RENEWAL_SECONDS:
            return True
        self._renewed_at = time.time()
        try:
            os.utime(self.path)
        except FileNotFoundError:
            return False
        return newest(self.path.parent) == self.path

    def release(self) -> None:
        """Leave the folder to others at once."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path, (0, 0))
        os.close(self.descriptor)


class Leases:
    """Takes folders, and remembers since when the leases of other machines have not moved."""

    def __init__(self):
        # lease of another machine -> its modification time, since when that is so, whether it ever moved
        self._watched: dict[Path, tuple[int, float, bool]] = {}

    def take(self, folder: Path) -> Lease | None:
        """The lease on a folder, which is made if need be, or None while another holds it."""
        last = newest(folder)  # once: the number after that of another's fresh lease is not free to take
        if self._state(last) is not State.FREE:
            return None
        path = folder / f"claim.{_number(last) + 1 if last else 1}"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        except FileExistsError:  # another was faster
            return None
        owner = {"process": os.getpid(), "host": platform.node(), "time": time.strftime("%Y-%m-%d %H:%M:%S")}
        with contextlib.suppress(OSError):  # a filesystem without locks: its leases are told by their age
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            owner["boot"] = _boot_id()
        os.write(descriptor, json.dumps(owner).encode())
        return Lease(path, descriptor)

    def state(self, folder: Path) -> State:
        """Whether a folder can be taken."""
        return self._state(newest(folder))

    def _state(self, path: Path | None) -> State:
        modified = path.stat().st_mtime_ns if path else 0
        if modified == 0:
            return State.FREE
        boot = _owner(path).get("boot")
        if boot and boot == _boot_id():
            return State.HELD if _locked(path) else State.FREE
        before, since, moved = self._watched.setdefault(path, (modified, time.monotonic(), False))
        if before != modified:
            since, moved = time.monotonic(), True
            self._watched[path] = (modified, since, moved)
        if time.monotonic() - since > EXPIRY_SECONDS:
            return State.FREE
        return State.HELD if moved else State.UNKNOWN


def holder(folder: Path) -> str:
    """Who made the newest lease on a folder."""
    path = newest(folder)
    owner = _owner(path) if path else {}
    return f"process {owner['process']} on {owner['host']}" if owner else "another process"


def newest(folder: Path) -> Path | None:
    """The lease on a folder that counts, the one with the highest number; None where there is none."""
    return max(filter(_number, folder.glob("claim.*")), key=_number, default=None)


def _number(path: Path) -> int:
    match = re.fullmatch(r"claim\.(\d+)", path.name)
    return int(match[1]) if match else 0


def _owner(path: Path) -> dict[str, object]:
    """Who made a lease; nothing in the moment before that is written."""
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return {}


def _boot_id() -> str:
    return BOOT_ID_FILE.read_text().strip() if BOOT_ID_FILE.exists() else ""


def _locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who ask do not see each other
        except OSError:
            return True
    return False
