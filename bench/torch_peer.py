"""The training step in PyTorch: the same networks, losses and updates, for the benchmarks."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from contender import CRITIC_LAYERS
from torch import nn

from srez.options.config import Config

WARMING = 5  # steps before one is recorded as a CUDA graph


class Block(nn.Module):
    """Residual block: [norm, ReLU, 3x3] twice, and a bypass."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.bypass = nn.Conv2d(inputs, width, 1) if inputs != width else nn.Identity()
        convolutions = [nn.Conv2d(width, width, 3, padding=1) for _ in range(2)]
        self.body = nn.Sequential(*(layer for c in convolutions for layer in (*norm_relu(width), c)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bypass(x)
        return x + self.body(x)


def norm_relu(width: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(width, eps=1e-3), nn.ReLU())


def generator_and_critic(place: str) -> tuple[nn.Module, nn.Module]:
    """Both default networks on a device, channels last."""
    parts, inputs = [], 3
    for width in (256, 128):
        parts += [Block(inputs, width), Block(width, width), nn.Upsample(scale_factor=2, mode="nearest")]
        parts += [norm_relu(width), nn.Conv2d(width, width, 3, padding=1)]
        inputs = width
    parts += [nn.Conv2d(128, 96, 3, padding=1), nn.ReLU(), nn.Conv2d(96, 96, 1), nn.ReLU()]
    generator = nn.Sequential(*parts, nn.Conv2d(96, 3, 1), nn.Sigmoid())
    parts, inputs = [], 3
    for width, kernel, stride in CRITIC_LAYERS:
        parts += [nn.Conv2d(inputs, width, kernel, stride, padding=kernel // 2), *norm_relu(width)]
        inputs = width
    critic = nn.Sequential(*parts, nn.Conv2d(512, 1, 1))
    return tuple(model.to(place, memory_format=torch.channels_last) for model in (generator, critic))


def pytorch(
    config: Config, label: np.ndarray, feature: np.ndarray, device: str, mode: str = "eager"
) -> Callable[[], dict[str, Any]]:
    """One step; what it gives are losses by name. Autocast where the precision is a short one.

    label [B, S, S, 3], feature [B, s, s, 3]; device: cpu or gpu; mode, on a GPU: eager, graph (the whole step
    recorded once as a CUDA graph and replayed), compiled (networks by torch.compile, inside such a graph).
    """
    functional = torch.nn.functional
    torch.set_num_threads(os.cpu_count())
    place = "cuda" if device == "gpu" else "cpu"
    half = config.precision != "float32"
    if device == "gpu":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    generator, critic = generator_and_critic(place)
    groups = [list(model.parameters()) for model in (generator, critic)]
    quick = {"fused": True, "capturable": mode != "eager"} if device == "gpu" else {}
    optimizers = [torch.optim.Adam(group, 1e-4, (0.5, 0.9), 1e-8, **quick) for group in groups]
    if mode == "compiled":
        from torch._functorch import config as settings

        settings.donated_buffer = False  # both losses go back through one forward pass
        generator, critic = torch.compile(generator), torch.compile(critic)
    label, feature = (
        torch.tensor(np.array(x), device=place)
        .permute(0, 3, 1, 2)
        .contiguous(memory_format=torch.channels_last)
        for x in (label, feature)
    )

    def step() -> dict[str, Any]:
        with torch.autocast(place, getattr(torch, config.precision) if half else None, enabled=half):
            output = generator(feature + config.train_noise * torch.randn_like(feature))
            real, fake = (critic(2 * x - 1).float().mean((1, 2, 3)) for x in (label, output))
            critic_loss = functional.softplus(-real).mean() + functional.softplus(fake).mean()
            small = functional.avg_pool2d(output.float(), config.factor)
            loss = 0.1 * functional.softplus(-fake).mean() + 0.9 * (small - feature).abs().mean()
        for group, value in zip(groups, (loss, critic_loss), strict=True):
            for variable, gradient in zip(
                group, torch.autograd.grad(value, group, retain_graph=True), strict=True
            ):
                variable.grad = gradient
        for optimizer in optimizers:
            optimizer.step()
        return {"generator_loss": loss.detach(), "discriminator_tot_loss": critic_loss.detach()}

    return step if mode == "eager" else recorded(step)


def recorded(step: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The step as a CUDA graph: its kernels are started together; it writes where it was recorded."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARMING):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        losses = step()

    def replay() -> dict[str, Any]:
        graph.replay()
        return losses

    return replay
