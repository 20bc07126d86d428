"""Stands in for srez_main.py in tests of studies: a training that takes milliseconds, or a report.

Environment: FAKE_PLAN, JSON of {name of a training: exit code from batch 3 on}; FAKE_PACE, seconds a batch.
Every start and end is a line of starts.jsonl in the study's folder.
"""

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

EXITS = {
    2: "srez: no such thing: take another",
    3: "srez: diverged: generator_loss was not finite at batch 3",
}

options = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
if options["run"] == "report":
    print(f"report: {options['study_dir']}/report.html")
    sys.exit(0)

checkpoint = Path(options["checkpoint_dir"])
name, study = checkpoint.parent.name, checkpoint.parents[2]
code = json.loads(os.environ.get("FAKE_PLAN", "{}")).get(name)
checkpoint.mkdir(parents=True, exist_ok=True)
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))


def note(what: str, **more: object) -> None:
    line = {"name": name, "what": what, "time": time.monotonic(), "process": os.getpid(), **more}
    with open(study / "starts.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")


lock = open(checkpoint / "lock", "a")  # noqa: SIM115  (as long as the process)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    note("doubled")
    sys.exit("two trainings in one folder")
metrics = checkpoint / "metrics.jsonl"
done = len(metrics.read_text().splitlines()) if metrics.exists() else 0
note("start", done=done, gpu=os.environ.get("CUDA_VISIBLE_DEVICES"), words=sys.argv[1:])
for batch in range(done + 1, int(options["max_batches"]) + 1):
    time.sleep(float(os.environ.get("FAKE_PACE", "0.01")))
    with metrics.open("a") as file:
        file.write(json.dumps({"batch": batch, "minutes": batch / 60, "psnr": 20.0 + batch}) + "\n")
    if batch >= 3 and code is not None:
        print(EXITS.get(code, "Traceback: something broke"), flush=True)
        note("end", code=code)
        if code < 0:
            os.kill(os.getpid(), -code)
        sys.exit(code)
    if stopped:
        print(f"SIGTERM: stopped after batch {batch}, saved; the same command goes on", flush=True)
        note("end", code=75)
        sys.exit(75)
print(f"done: --max_batches={options['max_batches']} reached\nnext: the same command")
note("end", code=0)
