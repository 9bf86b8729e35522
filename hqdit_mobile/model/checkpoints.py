# SPDX-License-Identifier: Apache-2.0
"""State-dict layouts: diffusers' ``DiTTransformer2DModel`` and facebookresearch's ``DiT`` to our ``DiT``, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.model.streaming import StreamedBlock

State = dict[str, Tensor]


class CheckpointError(ValueError):
    """A checkpoint does not hold the DiT it should; the message names the file or the key."""


def _take(state: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise CheckpointError(f"the checkpoint has no tensor {key!r}; is it a class-conditional DiT?")
    return state[key].float()


class FloatState(Mapping[str, Tensor]):
    """A state dict whose tensors are read, and turned to float32, when they are asked for."""

    def __init__(self, state: Mapping[str, Tensor]):
        self._state = state

    def __getitem__(self, name: str) -> Tensor:
        return self._state[name].float()

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)


class TranslatedState(FloatState):
    """A checkpoint under our names: ``layout`` says which of its tensors, joined along their rows, make one of ours.

    Raises CheckpointError naming a missing one.
    """

    def __init__(self, state: Mapping[str, Tensor], layout: Mapping[str, tuple[str, ...]]):
        for key in (key for keys in layout.values() for key in keys if key not in state):
            raise CheckpointError(f"the checkpoint has no tensor {key!r}; is it a class-conditional DiT?")
        super().__init__(state)
        self._layout = layout

    def __getitem__(self, name: str) -> Tensor:
        parts = [self._state[key].float() for key in self._layout[name]]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout)

    def __len__(self) -> int:
        return len(self._layout)


class _BlockState(FloatState):
    """The part of a state whose names start with ``prefix``, without it."""

    def __init__(self, state: Mapping[str, Tensor], prefix: str):
        super().__init__(state)
        self._prefix = prefix

    def __getitem__(self, name: str) -> Tensor:
        return self._state[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(self._prefix) for name in self._state if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def dit_from_state(config: DiTConfig, state: Mapping[str, Tensor], streamed: bool = False) -> DiT:
    """A DiT that takes over the tensors of ``state`` (our names) without a copy; ready for inference.

    streamed: blocks read their tensors from ``state`` each time they run, and keep none.
    """
    model = DiT(replace(config, depth=0))
    model.config = config
    try:
        model.load_state_dict({name: state[name] for name in model.state_dict()}, assign=True)
        blocks = [StreamedBlock(config, _BlockState(state, f"blocks.{i}.")) for i in range(config.depth)]
        model.blocks = nn.ModuleList(block if streamed else block.load() for block in blocks)
    except KeyError as error:
        raise CheckpointError(f"the checkpoint has no tensor {error}; it does not fit its config") from error
    except RuntimeError as error:
        raise CheckpointError(f"the checkpoint does not fit its config: {error}") from error
    return model.eval().requires_grad_(False)


def config_from_diffusers(config: Mapping[str, Any]) -> DiTConfig:
    """``transformer/config.json`` of a DiTPipeline folder -> DiTConfig. Raises CheckpointError for other models."""
    name = config.get("_class_name")
    if name not in ("DiTTransformer2DModel", "Transformer2DModel"):
        raise CheckpointError(f"transformer/config.json describes a {name}, not a DiTTransformer2DModel")
    expected = {"norm_type": "ada_norm_zero", "activation_fn": "gelu-approximate", "attention_bias": True}
    for key, value in expected.items():
        if config.get(key) != value:
            raise CheckpointError(f"transformer/config.json: {key} is {config.get(key)!r}, a DiT has {value!r}")
    if config.get("num_embeds_ada_norm") is None:
        raise CheckpointError("transformer/config.json: num_embeds_ada_norm is missing")
    in_channels = config.get("in_channels", 4)
    return DiTConfig(
        hidden_size=config["num_attention_heads"] * config["attention_head_dim"],
        depth=config["num_layers"],
        num_heads=config["num_attention_heads"],
        patch_size=config.get("patch_size", 2),
        in_channels=in_channels,
        out_channels=config.get("out_channels") or in_channels,
        sample_size=config["sample_size"],
        num_classes=config["num_embeds_ada_norm"],
        block_norm_eps=config.get("norm_eps", 1e-5),
        time_freq_shift=1,
    )


def without_unused_labels(config: DiTConfig, table: Tensor, used: int | None) -> tuple[DiTConfig, Tensor]:
    """Drops the label rows from ``used`` on if all of them repeat the null row (training never touched them)."""
    if used is None or not 0 < used < config.num_classes or not (table[used:] == table[-1]).all():
        return config, table
    return replace(config, num_classes=used), torch.cat([table[:used], table[-1:]])


Layout = dict[str, tuple[str, ...]]


def _linear(layout: Layout, name: str, *keys: str) -> None:
    for part in ("weight", "bias"):
        layout[f"{name}.{part}"] = tuple(f"{key}.{part}" for key in keys)


def _diffusers_layout(depth: int) -> Layout:
    """Everything but the labels; block 0's copy of the embedders is the one used."""
    layout: Layout = {}
    emb = "transformer_blocks.0.norm1.emb"
    _linear(layout, "x_embedder", "pos_embed.proj")
    _linear(layout, "t_embedder.fc1", f"{emb}.timestep_embedder.linear_1")
    _linear(layout, "t_embedder.fc2", f"{emb}.timestep_embedder.linear_2")
    for i in range(depth):
        block, theirs = f"blocks.{i}", f"transformer_blocks.{i}"
        _linear(layout, f"{block}.attn.qkv", *(f"{theirs}.attn1.to_{x}" for x in "qkv"))
        _linear(layout, f"{block}.attn.proj", f"{theirs}.attn1.to_out.0")
        _linear(layout, f"{block}.mlp.fc1", f"{theirs}.ff.net.0.proj")
        _linear(layout, f"{block}.mlp.fc2", f"{theirs}.ff.net.2")
        _linear(layout, f"{block}.adaLN", f"{theirs}.norm1.linear")
    _linear(layout, "final.adaLN", "proj_out_1")
    _linear(layout, "final.linear", "proj_out_2")
    return layout


def dit_from_diffusers(
    config: DiTConfig, state: Mapping[str, Tensor], used_labels: int | None = None, streamed: bool = False
) -> DiT:
    """Our DiT from the state dict of a ``DiTTransformer2DModel``."""
    key = "transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight"
    config, table = without_unused_labels(config, _take(state, key), used_labels)
    layout = _diffusers_layout(config.depth) | {"y_embedder.weight": (key,)}
    return dit_from_state(config, TranslatedState({**state, key: table}, layout), streamed)


def dit_to_diffusers(model: DiT, num_embeds: int) -> State:
    """The inverse: the state dict of a ``DiTTransformer2DModel`` with ``num_embeds`` classes, unused ones null."""
    ours = model.state_dict()
    out: State = {}

    def put(key: str, name: str) -> None:
        out[f"{key}.weight"], out[f"{key}.bias"] = ours[f"{name}.weight"], ours[f"{name}.bias"]

    table = ours["y_embedder.weight"]
    table = torch.cat([table[:-1], table[-1:].expand(num_embeds + 2 - len(table), -1)])
    put("pos_embed.proj", "x_embedder")
    put("proj_out_1", "final.adaLN")
    put("proj_out_2", "final.linear")
    for i in range(model.config.depth):
        block, theirs = f"blocks.{i}", f"transformer_blocks.{i}"
        put(f"{theirs}.norm1.emb.timestep_embedder.linear_1", "t_embedder.fc1")
        put(f"{theirs}.norm1.emb.timestep_embedder.linear_2", "t_embedder.fc2")
        out[f"{theirs}.norm1.emb.class_embedder.embedding_table.weight"] = table
        for part in ("weight", "bias"):
            for x, rows in zip("qkv", ours[f"{block}.attn.qkv.{part}"].chunk(3), strict=True):
                out[f"{theirs}.attn1.to_{x}.{part}"] = rows
        put(f"{theirs}.attn1.to_out.0", f"{block}.attn.proj")
        put(f"{theirs}.ff.net.0.proj", f"{block}.mlp.fc1")
        put(f"{theirs}.ff.net.2", f"{block}.mlp.fc2")
        put(f"{theirs}.norm1.linear", f"{block}.adaLN")
    return out


def dit_from_facebook(state: Mapping[str, Tensor], streamed: bool = False) -> DiT:
    """Our DiT from a facebookresearch checkpoint; sizes are read off the tensors (XL heads are 72 wide, else 64)."""
    patch_weight = _take(state, "x_embedder.proj.weight")
    hidden, in_channels, patch, _ = patch_weight.shape
    positions = _take(state, "pos_embed")
    depth = 1 + max((int(k.split(".")[1]) for k in state if k.startswith("blocks.")), default=-1)
    grid = round(positions.shape[1] ** 0.5)
    table = _take(state, "y_embedder.embedding_table.weight")
    final = _take(state, "final_layer.linear.weight")
    config = DiTConfig(
        hidden_size=hidden,
        depth=depth,
        num_heads=hidden // (72 if hidden == 1152 else 64),
        patch_size=patch,
        in_channels=in_channels,
        out_channels=final.shape[0] // patch**2,
        sample_size=grid * patch,
        num_classes=len(table) - 1,
    )
    names = {
        "x_embedder": "x_embedder.proj",
        "t_embedder.fc1": "t_embedder.mlp.0",
        "t_embedder.fc2": "t_embedder.mlp.2",
        "final.adaLN": "final_layer.adaLN_modulation.1",
        "final.linear": "final_layer.linear",
    }
    for block in (f"blocks.{i}" for i in range(depth)):
        names |= {f"{block}.{name}": f"{block}.{name}" for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")}
        names[f"{block}.adaLN"] = f"{block}.adaLN_modulation.1"
    layout: Layout = {"y_embedder.weight": ("y_embedder.embedding_table.weight",)}
    for name, key in names.items():
        _linear(layout, name, key)
    return dit_from_state(config, TranslatedState(state, layout), streamed)
