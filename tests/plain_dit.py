# SPDX-License-Identifier: Apache-2.0
"""The DiT by its equations (Peebles and Xie, arXiv 2212.09748, section 3), in float64, on a state dict in
facebookresearch's names: what the tests compare loaders with. Shares no code with the package."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def sincos(dim: int, grid: int) -> Tensor:
    """Positions [grid * grid, dim], as MAE's get_2d_sincos_pos_embed makes them: half of the channels for each axis."""
    w, h = np.meshgrid(np.arange(grid, dtype=np.float64), np.arange(grid, dtype=np.float64))

    def axis(positions: np.ndarray) -> np.ndarray:
        omega = 1.0 / 10000 ** (np.arange(dim // 4, dtype=np.float64) / (dim / 4))
        out = np.einsum("m,d->md", positions.reshape(-1), omega)
        return np.concatenate([np.sin(out), np.cos(out)], axis=1)

    return torch.from_numpy(np.concatenate([axis(w), axis(h)], axis=1))


def random_state(hidden=64, depth=2, patch=2, channels=4, out=8, grid=4, classes=10, null_row=True, ratio=4, seed=0):
    """A state dict with random weights and the fixed positions."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, std: float = 0.05) -> Tensor:
        return torch.randn(*shape, generator=generator) * std

    state = {
        "x_embedder.proj.weight": normal(hidden, channels, patch, patch, std=0.2),
        "x_embedder.proj.bias": normal(hidden),
        "pos_embed": sincos(hidden, grid).float()[None],
        "y_embedder.embedding_table.weight": normal(classes + null_row, hidden, std=0.5),
    }
    layers = {"t_embedder.mlp.0": (hidden, 256), "t_embedder.mlp.2": (hidden, hidden)}
    for i in range(depth):
        sizes = {"attn.qkv": (3 * hidden, hidden), "attn.proj": (hidden, hidden)}
        sizes |= {"mlp.fc1": (ratio * hidden, hidden), "mlp.fc2": (hidden, ratio * hidden)}
        sizes |= {"adaLN_modulation.1": (6 * hidden, hidden)}
        layers |= {f"blocks.{i}.{name}": size for name, size in sizes.items()}
    layers |= {"final_layer.adaLN_modulation.1": (2 * hidden, hidden)}
    layers |= {"final_layer.linear": (patch * patch * out, hidden)}
    for name, size in layers.items():
        state |= {f"{name}.weight": normal(*size, std=0.1), f"{name}.bias": normal(size[0])}
    return state


def forward(state: State, heads: int, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
    """x [B, C, S, S], t [B], label [B] -> [B, outputs, S, S] float64."""
    p = {name: tensor.double() for name, tensor in state.items()}

    def linear(name: str, value: Tensor) -> Tensor:
        return value @ p[f"{name}.weight"].t() + p[f"{name}.bias"]

    def norm(value: Tensor) -> Tensor:
        return F.layer_norm(value, value.shape[-1:], eps=1e-6)

    frequencies = torch.exp(-np.log(10000) * torch.arange(128, dtype=torch.float64) / 128)
    angle = t.double()[:, None] * frequencies
    embedded = linear("t_embedder.mlp.0", torch.cat([angle.cos(), angle.sin()], dim=1))
    embedded = linear("t_embedder.mlp.2", F.silu(embedded))
    condition = F.silu(embedded + p["y_embedder.embedding_table.weight"][label])

    weight = p["x_embedder.proj.weight"]
    patch = weight.shape[-1]
    tokens = F.conv2d(x.double(), weight, p["x_embedder.proj.bias"], stride=patch)
    grid = tokens.shape[-1]
    hidden = tokens.flatten(2).transpose(1, 2) + p["pos_embed"]
    depth = len({name.split(".")[1] for name in p if name.startswith("blocks.")})
    for i in range(depth):
        block = f"blocks.{i}"
        shift, scale, gate, shift2, scale2, gate2 = (
            part[:, None] for part in linear(f"{block}.adaLN_modulation.1", condition).chunk(6, dim=1)
        )
        qkv = linear(f"{block}.attn.qkv", norm(hidden) * (1 + scale) + shift)
        q, k, v = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=2))
        weights = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, dim=-1)
        hidden = hidden + gate * linear(f"{block}.attn.proj", (weights @ v).transpose(1, 2).flatten(2))
        inner = linear(f"{block}.mlp.fc1", norm(hidden) * (1 + scale2) + shift2)
        inner = 0.5 * inner * (1 + torch.tanh((2 / np.pi) ** 0.5 * (inner + 0.044715 * inner**3)))
        hidden = hidden + gate2 * linear(f"{block}.mlp.fc2", inner)
    shift, scale = (part[:, None] for part in linear("final_layer.adaLN_modulation.1", condition).chunk(2, dim=1))
    out = linear("final_layer.linear", norm(hidden) * (1 + scale) + shift)
    out = out.unflatten(1, (grid, grid)).unflatten(3, (patch, patch, -1))
    return torch.einsum("bhwpqc->bchpwq", out).flatten(4).flatten(2, 3)
