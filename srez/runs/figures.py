"""The figures of metrics.jsonl: what each is, and under which tag TensorBoard shows it."""

from typing import NamedTuple


class Figure(NamedTuple):
    """A figure of a training. group: that of its tag in TensorBoard; "": 2017's tag, the name alone."""

    group: str
    text: str

    def tag(self, name: str) -> str:
        """Its tag in TensorBoard: `quality/psnr` for psnr."""
        return f"{self.group}/{name}" if self.group else name


_HELD_OUT = "Mean over the held-out faces, each beside the truth; output clipped to [0, 1]."
_OF_2017 = "Summed over pixels and channels, mean over the ten faces of the grid; output clipped to [0, 1]."
_OF_BATCH = "Of one batch, before its update."
_ESTIMATE = "Mean of the critic over generated pictures minus that over real ones."

FIGURES = {
    # 2017's tags
    "generator_loss": Figure("", f"What the generator minimizes: adversarial and other terms. {_OF_BATCH}"),
    "discriminator_real_loss": Figure("", f"The critic's loss on real pictures. {_OF_BATCH}"),
    "discriminator_fake_loss": Figure("", f"The critic's loss on generated pictures. {_OF_BATCH}"),
    "discriminator_tot_loss": Figure(
        "", f"What the critic minimizes: both parts and, for wgan-gp, the weighted penalty. {_OF_BATCH}"
    ),
    "l1_quality": Figure("", f"|output - truth|, lower is better. {_OF_2017}"),
    "mse_quality": Figure("", f"(output - truth)², lower is better. {_OF_2017}"),
    "gradient_penalty": Figure(
        "loss", f"Of wgan-gp, without its weight LAMBDA; 0 for other objectives. {_OF_BATCH}"
    ),
    "generator_gradient_norm": Figure("loss", f"Norm of the generator's gradient. {_OF_BATCH}"),
    "discriminator_gradient_norm": Figure(
        "loss", f"Norm of the critic's gradient, 0 where it is frozen. {_OF_BATCH}"
    ),
    "learning_rate": Figure("loss", "Of both networks' optimizers."),
    "psnr": Figure("quality", f"PSNR in dB, higher is better. {_HELD_OUT}"),
    "ssim": Figure("quality", f"SSIM, at most 1, higher is better. {_HELD_OUT}"),
    "lpips": Figure("quality", f"LPIPS (AlexNet), lower is better. {_HELD_OUT}"),
    "consistency": Figure(
        "quality",
        "PSNR in dB between the input and the output averaged down to its size, higher is better: "
        "whether the face is still that of the input. Mean over the held-out faces.",
    ),
    "swd": Figure(
        "quality",
        "Sliced Wasserstein distance x 1000 between the sets of outputs and of true faces, lower is better; "
        "it finds nearest-neighbour enlargement better than bicubic.",
    ),
    "diversity": Figure(
        "quality",
        "Mean distance between two outputs over that between two true faces: 1 is as varied as real faces, "
        "0 one face for all inputs.",
    ),
    "alexnet_frechet": Figure(
        "quality",
        "Fréchet distance between generated and real faces in AlexNet's features; lower is better.",
    ),
    "wasserstein_estimate": Figure("critic", f"{_ESTIMATE} {_OF_BATCH}"),
    "heldout_wasserstein_estimate": Figure(
        "critic", f"{_ESTIMATE} On held-out faces, which no network was trained on."
    ),
    "heldout_gradient_penalty": Figure("critic", "Of wgan-gp, without its weight, on held-out faces."),
    "critic_gradient_share": Figure(
        "critic",
        "Share of the critic in the gradient of the loss at the generator's own picture, before back "
        "projection, 0 to 1; the rest is that of the other terms.",
    ),
    "fresh_wasserstein_estimate": Figure(
        "critic",
        "The estimate of critics trained from scratch on half of the held-out faces and read on the other "
        "(--fresh_critics), comparable between objectives.",
    ),
    "fresh_gradient_penalty": Figure("critic", "The gradient penalty of fresh critics, without its weight."),
    "transport": Figure(
        "critic",
        "Exact Wasserstein-1 distance between the held-out faces and the outputs, by their pixels "
        "(--fresh_critics); lower is better.",
    ),
    "images_per_second": Figure("speed", "Pictures trained on a second since the last line of figures."),
    "minutes": Figure("speed", "Minutes trained, over all sessions of the run."),
    "gpu_memory_mb": Figure("speed", "The most memory TensorFlow has taken of any GPU so far, 10^6 bytes."),
}
FIGURES |= {
    f"bicubic_{name}": Figure(
        "quality", f"{name} of bicubic enlargement of the held-out faces: to be beaten. At batch 0 only."
    )
    for name in ("psnr", "ssim", "lpips", "consistency", "swd", "diversity", "alexnet_frechet")
}
