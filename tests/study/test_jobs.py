"""Trainings of a study as processes: each one's share of the machine."""

import os

from srez.study.jobs import machine_share


def test_a_share_of_the_cores_or_a_gpu(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(6))
    assert machine_share(1, 2, []) == {"TF_NUM_INTRAOP_THREADS": "3", "TF_NUM_INTEROP_THREADS": "3"}
    assert machine_share(0, 1, []) == {}
    assert machine_share(3, 4, ["0", "2"]) == {"CUDA_VISIBLE_DEVICES": "2"}
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    assert machine_share(0, 8, []) == {"TF_NUM_INTRAOP_THREADS": "5", "TF_NUM_INTEROP_THREADS": "1"}
