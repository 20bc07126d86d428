"""What this process may use of the machine."""

import os


def processors() -> int:
    """How many processors this process may run on; where that cannot be told, how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
