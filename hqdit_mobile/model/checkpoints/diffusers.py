# SPDX-License-Identifier: Apache-2.0
"""diffusers' ``DiTTransformer2DModel``: its configuration and state dict to our DiT, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hqdit_mobile.model.checkpoints.build import dit_from_state
from hqdit_mobile.model.checkpoints.fields import Fields
from hqdit_mobile.model.checkpoints.positions import are_learned, grid_of
from hqdit_mobile.model.checkpoints.reading import CheckpointError
from hqdit_mobile.model.checkpoints.states import ComputedState, Layout, State, TranslatedState, linear, refuse_unused
from hqdit_mobile.model.dit import DiT, DiTConfig

WHERE = "transformer/config.json"
LARGEST = 65536  # of a width, a side, a number of classes
_BLOCK = re.compile(r"transformer_blocks\.(\d+)\.")
POSITIONS = "pos_embed.pos_embed"


def config_from_diffusers(config: Mapping[str, Any]) -> DiTConfig:
    """``transformer/config.json`` of a DiTPipeline folder -> DiTConfig. Raises CheckpointError for other models.

    Absent fields have the defaults of the class that the configuration names. ``block_embedders`` and
    ``learned_positions`` are the weights' to say.
    """
    fields = Fields(WHERE, config)
    name = config.get("_class_name")
    if name not in ("DiTTransformer2DModel", "Transformer2DModel"):
        raise CheckpointError(f"{WHERE} describes a {name}, not a DiTTransformer2DModel")
    old = name == "Transformer2DModel"  # its defaults are those of another network
    fields.must_be("norm_type", "ada_norm_zero", default="layer_norm" if old else "ada_norm_zero")
    fields.must_be("activation_fn", "gelu-approximate", default="geglu" if old else "gelu-approximate")
    fields.must_be("attention_bias", True, default=not old)
    fields.flag("norm_elementwise_affine", old)  # the weights say it
    if old:
        for other in ("cross_attention_dim", "num_vector_embeds", "caption_channels", "interpolation_scale"):
            fields.must_be(other, None, default=None)
        for other in ("only_cross_attention", "double_self_attention", "use_linear_projection"):
            fields.must_be(other, False, default=False)
        fields.must_be("attention_type", "default", default="default")
        fields.must_be("use_additional_conditions", None, False, default=None)
    # Dropout is for training, no norm has groups, and attention is in float32 or int8 here.
    fields.ignore("dropout", "norm_num_groups", "upcast_attention")
    heads = fields.integer("num_attention_heads", 1, 1024, 16)
    head_dim = fields.integer("attention_head_dim", 1, 1024, 88 if old else 72)
    in_channels = fields.integer("in_channels", 1, 1024) if old else fields.integer("in_channels", 1, 1024, 4)
    out_channels = fields.get("out_channels", None)
    if out_channels not in (None, in_channels, 2 * in_channels):
        raise fields.error("out_channels", f"{in_channels} or {2 * in_channels} with a learned sigma", out_channels)
    try:
        made = DiTConfig(
            hidden_size=heads * head_dim,
            depth=fields.integer("num_layers", 1, 1024, 1 if old else 28),
            num_heads=heads,
            patch_size=fields.integer("patch_size", 1, 64) if old else fields.integer("patch_size", 1, 64, 2),
            in_channels=in_channels,
            out_channels=out_channels or in_channels,
            sample_size=_side(fields, old),
            num_classes=fields.integer("num_embeds_ada_norm", 1, 1 << 20, None if old else 1000),
            block_norm_eps=fields.number("norm_eps", 1e-5),
            time_freq_shift=1,
        )
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{WHERE}: {error}") from error
    fields.finish()
    return made


def _side(fields: Fields, old: bool) -> int:
    if isinstance(side := fields.get("sample_size", None if old else 32), list):
        raise fields.error("sample_size", "one number: only square images are supported", side)
    return fields.integer("sample_size", 1, 4096, None if old else 32)


def dit_from_diffusers(
    config: DiTConfig, state: State, notes: list[str], used_labels: int | None = None, streamed: bool = False
) -> DiT:
    """Our DiT from the state dict of a ``DiTTransformer2DModel``; adds what the user should know to ``notes``.

    used_labels: classes that have names; rows after them that repeat the null row are dropped.
    """
    _check_sizes(config, state)
    shared = all(_same(state, 0, index) for index in range(1, config.depth))
    layout = _layout(config.depth) | _embedder_layout(config.depth, own=not shared)
    harmless = {key for keys in _embedder_layout(config.depth, own=True).values() for key in keys}
    if not shared:
        config = replace(config, block_embedders=True)
        notes.append("every block has its own embedders of timestep and class (trained in diffusers): all are kept")
    if POSITIONS in state:
        grid = grid_of(state[POSITIONS], POSITIONS, config.hidden_size)
        if grid * config.patch_size != config.sample_size:
            raise CheckpointError(f"{POSITIONS} has {grid} tokens a side; {WHERE} needs another number of them")
        config = replace(config, learned_positions=are_learned(state[POSITIONS], grid))
        harmless.add(POSITIONS)
        if config.learned_positions:
            layout["positions"] = (POSITIONS,)
    state, affine = _fold_norms(state, config)
    refuse_unused(state, layout, harmless)
    if affine:
        notes.append("weights of the norms (norm_elementwise_affine) are folded into the adaLN layers")
    config, state = _without_unused_labels(config, state, layout, used_labels)
    return dit_from_state(config, TranslatedState(state, layout), streamed)


def _check_sizes(config: DiTConfig, state: State) -> None:
    """Before anything is made of a size that a configuration alone says."""
    blocks = {int(match[1]) for name in state if (match := _BLOCK.match(name))}
    if blocks != set(range(config.depth)):
        raise CheckpointError(f"{WHERE}: num_layers is {config.depth}, but the weights have {len(blocks)} blocks")
    shapes = {
        "pos_embed.proj.weight": (config.hidden_size, config.in_channels, config.patch_size, config.patch_size),
        f"{_embedder(0)}.class_embedder.embedding_table.weight": (config.num_classes + 1, config.hidden_size),
    }
    for key, shape in shapes.items():
        if key in state and tuple(state[key].shape) != shape:
            raise CheckpointError(f"{key} has shape {list(state[key].shape)}, but {WHERE} needs {list(shape)}")


def _embedder(block: int) -> str:
    return f"transformer_blocks.{block}.norm1.emb"


def _embedder_layout(depth: int, own: bool) -> Layout:
    layout: Layout = {}
    for index in range(depth if own else 1):
        prefix = f"block_embedders.{index - 1}." if index else ""
        linear(layout, f"{prefix}t_embedder.fc1", f"{_embedder(index)}.timestep_embedder.linear_1")
        linear(layout, f"{prefix}t_embedder.fc2", f"{_embedder(index)}.timestep_embedder.linear_2")
        layout[f"{prefix}y_embedder.weight"] = (f"{_embedder(index)}.class_embedder.embedding_table.weight",)
    return layout


def _same(state: State, first: int, second: int) -> bool:
    """Whether two blocks embed timesteps and labels alike; a block without embedders is for others to report."""
    keys = [key for keys in _embedder_layout(1, own=False).values() for key in keys]
    pairs = [
        (key.replace(_embedder(0), _embedder(first)), key.replace(_embedder(0), _embedder(second))) for key in keys
    ]
    return all(a in state and b in state and torch.equal(state[a], state[b]) for a, b in pairs)


def _layout(depth: int) -> Layout:
    """Everything but the embedders."""
    layout: Layout = {}
    linear(layout, "x_embedder", "pos_embed.proj")
    for i in range(depth):
        block, theirs = f"blocks.{i}", f"transformer_blocks.{i}"
        linear(layout, f"{block}.attn.qkv", *(f"{theirs}.attn1.to_{x}" for x in "qkv"))
        linear(layout, f"{block}.attn.proj", f"{theirs}.attn1.to_out.0")
        linear(layout, f"{block}.mlp.fc1", f"{theirs}.ff.net.0.proj")
        linear(layout, f"{block}.mlp.fc2", f"{theirs}.ff.net.2")
        linear(layout, f"{block}.adaLN", f"{theirs}.norm1.linear")
    linear(layout, "final.adaLN", "proj_out_1")
    linear(layout, "final.linear", "proj_out_2")
    return layout


def _fold_norms(state: State, config: DiTConfig) -> tuple[State, bool]:
    """Without the weights w and biases b of the norms before the MLPs, which norm_elementwise_affine brings.

    (n w + b) (1 + scale) + shift = n (1 + scale') + shift' with scale' = w scale + w - 1, shift' = shift + b scale + b,
    and scale and shift are rows of the adaLN layer.
    """
    computed, gone = {}, []
    for i in range(config.depth):
        norm, linear_ = f"transformer_blocks.{i}.norm3", f"transformer_blocks.{i}.norm1.linear"
        if f"{norm}.weight" not in state:
            continue
        weight = state[f"{norm}.weight"].double()
        bias = state[f"{norm}.bias"].double() if f"{norm}.bias" in state else torch.zeros_like(weight)
        for part in ("weight", "bias"):
            computed[f"{linear_}.{part}"] = partial(_folded, state, f"{linear_}.{part}", weight, bias)
            gone.append(f"{norm}.{part}")
    return (ComputedState(state, computed, gone), True) if computed else (state, False)


def _folded(state: State, key: str, weight: Tensor, bias: Tensor) -> Tensor:
    rows = state[key].double().clone()
    width = len(weight)
    shift, scale = rows[3 * width : 4 * width], rows[4 * width : 5 * width]
    constant = key.endswith(".bias")
    w, b = (weight, bias) if constant else (weight[:, None], bias[:, None])
    shift += b * scale + (bias if constant else 0)
    scale.copy_(w * scale + (weight - 1 if constant else 0))
    return rows.float()


def _without_unused_labels(
    config: DiTConfig, state: State, layout: Layout, used: int | None
) -> tuple[DiTConfig, State]:
    """Drops the label rows from ``used`` on if all of them repeat the null row (training never touched them)."""
    tables = [keys[0] for name, keys in layout.items() if name.endswith("y_embedder.weight")]
    if used is None or not 0 < used < config.num_classes:
        return config, state
    if not all((state[key][used:] == state[key][-1]).all() for key in tables):
        return config, state

    def cut(key: str) -> Tensor:
        return torch.cat([state[key][:used], state[key][-1:]])

    return replace(config, num_classes=used), ComputedState(state, {key: partial(cut, key) for key in tables})


def dit_to_diffusers(model: DiT, num_embeds: int) -> dict[str, Tensor]:
    """The inverse: the state dict of a ``DiTTransformer2DModel`` with ``num_embeds`` classes, unused ones null.

    Raises ValueError for a model without a null class, which diffusers' network always has.
    """
    if model.null_label is None:
        raise ValueError("the model has no null class, and diffusers' network always has one")
    ours, depth = model.state_dict(), model.config.depth
    out: dict[str, Tensor] = {}
    for index in range(depth):
        own = index > 0 and model.config.block_embedders
        for name, (key, *_) in _embedder_layout(1, own=False).items():
            tensor = ours[f"block_embedders.{index - 1}.{name}" if own else name]
            if name == "y_embedder.weight":
                tensor = torch.cat([tensor[:-1], tensor[-1:].expand(num_embeds + 2 - len(tensor), -1)])
            out[key.replace(_embedder(0), _embedder(index))] = tensor
    for name, keys in _layout(depth).items():
        for key, rows in zip(keys, ours[name].chunk(len(keys)), strict=True):
            out[key] = rows
    return out
