"""A study on disk as if it had been done: its file, its trainings' figures, outcomes and pictures."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from srez.report.results import FINISHED, UNDER_WAY, Results, RunResult
from srez.study.cells import Cell, Study, StudyRun
from srez.study.grid import read_study
from srez.study.store import StudyStore

SAMPLES = range(0, 130, 10)  # 13, five of them in the last third
STUDY = """
name = "tiny"
title = "{title}"
question = "Who <i>wins</i>?"
seeds = [0, 1]
[base]
max_batches = 120
summary_period = 10
{base}
[axes]
objective = [{{label = "gan", loss_func = "dcgan"}}, {{label = "wgan-gp", loss_func = "wgangp"}}]
gen_architect = ["resnet", "deconv"]
[[exclude]]
objective = "gan"
gen_architect = "deconv"
reason = "it <b>is</b> left out"
"""
RUNS = [f"{cell}-s{seed}" for seed in (0, 1) for cell in ("gan-resnet", "wgangp-resnet", "wgangp-deconv")]


def begin(folder: Path, title: str = "A tiny study", base: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text(STUDY.format(title=title, base=base))
    return folder


def train(folder: Path, name: str, figures: dict, last: int = 120, exit: int | None = 0) -> Path:
    """A training's files; figures: name -> function of the batch."""
    run = folder / "runs" / name
    for part in ("checkpoint", "train"):
        (run / part).mkdir(parents=True)
    lines = []
    for batch in range(0, last + 1, 5):
        wanted = {n: f for n, f in figures.items() if batch % 10 == 0 or "loss" in n or "estimate" in n}
        if batch == 0:  # nothing has been trained
            wanted = {n: f for n, f in wanted.items() if "loss" not in n and "estimate" not in n}
        if batch:
            wanted = {n: f for n, f in wanted.items() if not n.startswith("bicubic")}
        lines.append({"batch": batch, "minutes": batch / 10} | {n: f(batch) for n, f in wanted.items()})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "checkpoint" / "metrics.jsonl").write_text(text)
    if exit is not None:
        outcome = {
            "exit": exit,
            "batches": last,
            "minutes": last / 10,
            "message": "a loss was nan" if exit else "",
        }
        (run / "outcome.json").write_text(json.dumps(outcome))
    return run


def settling(first: float, last: float):
    """From `first` to `last` in the first half, then level."""
    return lambda batch: first + (last - first) * min(batch / 60, 1)


def usual(seed: int) -> dict:
    """LPIPS ends at 0.30 + seed / 50, PSNR at 22 + seed, SWD at 20 + seed; estimate and losses fall.

    Bicubic enlargement has LPIPS 0.4 and PSNR 21.
    """
    wave = [0, 3, 1, 4, 2]
    return {
        "lpips": settling(0.6, 0.3 + seed / 50),
        "bicubic_lpips": lambda batch: 0.4,
        "bicubic_psnr": lambda batch: 21,
        "swd": settling(100, 20 + seed),
        "psnr": settling(10, 22 + seed),
        "diversity": lambda batch: 0.9,
        "wasserstein_estimate": lambda batch: 200 - batch + wave[batch // 5 % 5],
        "generator_loss": lambda batch: 2 - batch / 100,
        "discriminator_tot_loss": lambda batch: 1 + batch / 100,
    }


def strip(shade: int) -> Image.Image:
    """Ten faces of 64x64, one brighter than the other."""
    row = np.repeat(np.arange(10) * 20 + shade, 64).astype(np.uint8)
    return Image.fromarray(np.broadcast_to(row[None, :, None], (64, 640, 3)).copy())


def results(tmp_path, words: dict[str, str], seeds: str = "[0, 1, 2]", controls: bool = False) -> Results:
    """Results in which the trainings named have curves of that verdict; the others converged.

    controls: with WGAN-GP by the L1 term alone (L1only-resnet-s0 and so on) as another objective.
    """
    tmp_path.mkdir(exist_ok=True)
    path = begin(tmp_path / "s") / "study.toml"
    text = path.read_text().replace("[0, 1]", seeds)
    objective = '{label = "wgan-gp", loss_func = "wgangp"}'
    l1_only = '{label = "L1 only", loss_func = "wgangp", gene_l1_factor = 1.0}'
    path.write_text(text.replace(objective, f"{objective}, {l1_only}") if controls else text)
    return judged(read_study(str(path)), words)


def judged(study: Study, words: dict[str, str]) -> Results:
    """Results of a study in which the trainings named have curves of that verdict; the others converged."""
    batch = np.array(SAMPLES, float)
    levels = {
        "converged": np.minimum(batch / 60, 1),
        "improving": batch / 120,
        "worse than bicubic": np.minimum(batch / 60, 1) / 20,
        "undecided": np.where(batch > 70, 1 - (batch - 70) / 400, np.minimum(batch / 60, 1)),
        "oscillating": np.where(batch > 100, 0.5, np.minimum(batch / 60, 1)),
    }
    found = []
    for run in study.runs():
        word = words.get(run.name, "converged")
        if word == UNDER_WAY:
            found.append(RunResult(run, UNDER_WAY))
        elif word == "diverged":
            found.append(RunResult(run, FINISHED, exit=3))
        else:
            curves = {"psnr": (batch, 10 + 10 * levels[word]), "bicubic_psnr": (batch[:1], np.array([11.0]))}
            found.append(RunResult(run, FINISHED, exit=0, curves=curves))
    return Results(study, found)


MOMENTS = np.array([10.0, 20, 40, 80, 120])
PENALTIES = {f"{kind}gradient_penalty": 0.05 for kind in ("", "heldout_", "fresh_")}
LIVE = {"critic_gradient_share": 0.5} | PENALTIES


def signals(tmp_path, sign: float = 1, seeds: str = "[0, 1, 2, 3]", **critic: float) -> Results:
    """Trainings whose LPIPS falls, each with deviations of its own.

    All estimates are LPIPS itself, times `sign`, the fresh critics' at MOMENTS alone; and so is the exact
    transport, without the sign. critic: figures of LIVE that are others.
    """
    found, grid = [], results(tmp_path, {}, seeds).study
    batch = np.array(SAMPLES, float)
    for run in grid.runs():
        random = np.random.default_rng(run.seed)
        lpips = np.exp(-batch / 120 - 0.3 * random.normal(size=len(batch)))
        at_moments = np.isin(batch, MOMENTS)
        curves = {"lpips": (batch, lpips), "generator_loss": (batch[1:], np.cos(batch[1:] + run.seed))}
        for name in ("wasserstein_estimate", "heldout_wasserstein_estimate"):
            curves[name] = (batch[1:], sign * lpips[1:])
        curves["fresh_wasserstein_estimate"] = (MOMENTS, sign * lpips[at_moments])
        curves["transport"] = (MOMENTS, lpips[at_moments])
        curves |= {n: (batch[1:], np.full(len(batch) - 1, v)) for n, v in (LIVE | critic).items()}
        found.append(RunResult(run, FINISHED, exit=0, curves=curves))
    return Results(grid, found)


def a_run(number: int, batches: int = 10) -> StudyRun:
    cell = Cell({"a": str(number)}, {"max_batches": batches})
    return StudyRun(f"{number}-s0", cell, 0, cell.options)


def tell(store: StudyStore, name: str, batch: int, minutes: float, **figures: float) -> None:
    path = Path(store.run(name, "checkpoint"))
    path.mkdir(parents=True, exist_ok=True)
    with (path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"batch": batch, "minutes": minutes, **figures}) + "\n")
