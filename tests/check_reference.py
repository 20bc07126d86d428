"""Compare this code with a folder of reference vectors: python3 tests/check_reference.py FOLDER

Prints each case's worst errors as shares of what is allowed (1 at most is good); exit 1 where one is beyond
it, 2 where the folder cannot be read. Format and tolerances are those of the folder's README, with one
addition: a number is not held tighter than rounding holds it. Behind ReLUs and divisions by small variances
a change in the last bit of the weights moves some gradient norms by more than the tolerance of 1e-3 (the
reference itself lies up to 5e-3 from float64 there), and Adam turns rounding noise into whole steps. So
each case is also computed with weights and features moved by one unit in the last place. A number may be
off by ROUNDING times the largest change that this makes; an update's norm by the norm of the change of the
update.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf

from srez.options.config import Config
from srez_model import LOSSES, Gan

RELATIVE = {"losses": 1e-4, "gradients": 1e-3, "updates": 1e-3}
ABSOLUTE = {"outputs": 1e-4}
LEAST_GRADIENT = 1e-5  # below it a gradient is truly zero, and Adam turns its rounding noise into a step
ROUNDING, TRIALS, LAST_PLACE = 3.0, 4, 2.0**-23
MOST_UPDATE = 0.02  # no more than this share, however much rounding moves an update
LOSS_NAMES = ("generator_loss", "critic_real", "critic_fake", "critic_loss", "gradient_penalty")
NETWORKS = ("generator", "critic")


def inputs(manifest: dict, noise: bool) -> tuple[np.ndarray, np.ndarray]:
    """Label [B, S, S, 3] and feature [B, s, s, 3] from the manifest's seed."""
    seed, batch = manifest["seed"], manifest["batch"]
    random = np.random.RandomState(seed - 2)
    feature = random.uniform(-1, 1, (batch, 4, 4, 3)) if noise else random.rand(batch, 16, 16, 3)
    label = np.random.RandomState(seed - 1).rand(batch, 64, 64, 3)
    return label.astype(np.float32), feature.astype(np.float32)


def weights(manifest: dict, case: dict) -> list[np.ndarray]:
    """The value of every variable, by its number's seed and its shape."""
    values = []
    for i, (_, shape) in enumerate(case["generator_variables"] + case["critic_variables"]):
        scale = np.sqrt(1 / np.prod(shape[:3])) if len(shape) == 4 else 0.1
        values.append((np.random.RandomState(manifest["seed"] + i).randn(*shape) * scale).astype(np.float32))
    return values


def make_config(manifest: dict, case: dict) -> Config:
    return Config(
        batch_size=manifest["batch"],
        gene_l1_factor=manifest["gene_l1_factor"],
        learning_beta1=manifest["beta1"],
        learning_beta2=manifest["beta2"],
        epsilon=manifest["epsilon"],
        weigh_clip=0,
        **case["flags"],
    )


def figures(gan: Gan, manifest: dict, values: list[np.ndarray], label, feature) -> dict[str, np.ndarray]:
    """Everything that a case is compared by, from weights and inputs: one flat array a kind."""
    variables = gan.generator_variables + gan.critic_variables
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    label, feature, alpha = map(tf.constant, (label, feature, manifest["alpha"]))
    output = gan.generator(feature, training=True)
    outputs = [output, gan.critic(label), gan.critic(output)]
    found = gan.gradients(label, feature, feature, alpha)
    for name in NETWORKS:
        optimizer = getattr(gan.updates, f"{name}_optimizer")
        for slot in optimizer.variables:
            slot.assign(tf.ones_like(slot) if slot.name.startswith("square") else tf.zeros_like(slot))
        optimizer.apply(getattr(gan, f"{name}_variables"), getattr(found, name), manifest["learning_rate"])
    updates = [v.numpy() - value for v, value in zip(variables, values, strict=True)]
    return {
        "outputs": np.concatenate([np.ravel(x) for x in outputs]),
        "losses": np.array([float(found.losses[name]) for name in LOSSES]),
        "gradients": np.array([np.linalg.norm(g) for g in (*found.generator, *found.critic)]),
        "updates": np.array([np.linalg.norm(u) for u in updates]),
    }, updates


def stored_figures(folder: Path, case: dict) -> dict[str, np.ndarray]:
    """The same from the reference folder."""
    arrays = np.load(folder / f"{case['case']}.npz")
    norms = {k: np.concatenate([case[f"{n}_{k}_norms"] for n in NETWORKS]) for k in ("gradient", "update")}
    return {
        "outputs": np.concatenate([np.ravel(arrays[k]) for k in ("generated", "critic_real", "critic_fake")]),
        "losses": np.array([case[name] for name in LOSS_NAMES]),
        "gradients": norms["gradient"],
        "updates": norms["update"],
    }


def check_case(folder: Path, manifest: dict, case: dict) -> dict[str, float]:
    """The worst error of each kind, as a share of what is allowed."""
    gan = Gan(make_config(manifest, case))
    variables = gan.generator_variables + gan.critic_variables
    listed = case["generator_variables"] + case["critic_variables"]
    for variable, (name, shape) in zip(variables, listed, strict=True):
        assert variable.shape == shape, f"{name}: {shape} there, {variable.shape} here"
    label, feature = inputs(manifest, gan.config.noise_input)
    values = weights(manifest, case)
    here, updates = figures(gan, manifest, values, label, feature)
    there = stored_figures(folder, case)

    moved = {kind: np.zeros(len(here[kind])) for kind in here}
    random = np.random.RandomState(0)
    for _ in range(TRIALS):
        signs = (random.choice([-1, 1], v.shape) for v in (*values, feature))
        *jogged, input_ = (
            v * (1 + LAST_PLACE * s).astype(np.float32)
            for v, s in zip((*values, feature), signs, strict=True)
        )
        other, other_updates = figures(gan, manifest, jogged, label, input_)
        changes = {kind: ROUNDING * np.abs(other[kind] - here[kind]) for kind in here}
        changes["updates"] = [np.linalg.norm(a - b) for a, b in zip(other_updates, updates, strict=True)]
        moved = {kind: np.maximum(moved[kind], changes[kind]) for kind in here}

    zero = there["gradients"] < LEAST_GRADIENT
    shares = {}
    for kind in here:
        tolerance = RELATIVE[kind] * np.abs(there[kind]) if kind in RELATIVE else ABSOLUTE[kind]
        allowed = np.maximum(tolerance, moved[kind])
        if kind == "updates":
            allowed = np.minimum(allowed, MOST_UPDATE * np.abs(there[kind]))
        if kind == "gradients":  # where it is zero there, here it must be as small
            allowed = np.where(zero, np.maximum(LEAST_GRADIENT, allowed), allowed)
        off = np.abs(here[kind] - there[kind])
        if kind == "updates":
            off = np.where(zero, 0.0, off)
        shares[kind] = float(np.max(off / np.maximum(allowed, np.finfo(np.float32).tiny)))
    return shares


def main(argv: list[str]) -> int:
    if len(argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(argv[1])
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        print(f"check_reference: {folder}/manifest.json: {error}", file=sys.stderr)
        return 2
    good = True
    for case in manifest["cases"]:
        shares = check_case(folder, manifest, case)
        fits = all(share <= 1 for share in shares.values())
        good &= fits
        text = "  ".join(f"{kind} {share:.3f}" for kind, share in shares.items())
        print(f"{'ok  ' if fits else 'FAIL'} {case['case']:<36} {text}", flush=True)
        tf.keras.backend.clear_session()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
