# SPDX-License-Identifier: Apache-2.0
"""The image decoder in tiles, for phones whose memory a whole decode would not fit in.

Group norms look at the whole picture, so tiles that run on their own are not the picture's (docs/engine.md). Here all
tiles run up to the next norm before any goes on: a *section* is what lies between two norms. Between sections a map,
an activation of the whole picture, waits in 16 bits, and its statistics are known when the next section reads it. The
first blocks, whose maps are small, run as one method, the head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from hqdit_mobile.export.lowering.vae_decoder import LARGE_BYTES, GroupNorm, ImageDecoder, ResidualBlock

TILE = 64  # pixels of a section's output that one call makes, each way, at most
HEAD = "decode_head"


@dataclass(frozen=True)
class Section:
    """Reads map ``source``, tile by tile with ``halo`` pixels around it, and writes maps ``to``, or the image if empty.

    ``module`` takes the tile [1, C, h, w]; then, where ``add`` is a map, its tile at the place of the output; then,
    where ``statistics`` is a map, that one's mean and variance by group [groups, 2]. It returns the tile of all maps in
    ``to``, one after the other [1, C, scale h, scale w].
    """

    module: nn.Module
    source: int
    to: list[int]
    halo: int = 1
    scale: int = 1
    add: int | None = None
    statistics: int | None = None


@dataclass(frozen=True)
class Map:
    """``stored`` false: only its statistics are kept, each reader makes the values anew."""

    channels: int
    height: int
    width: int
    stored: bool = True


@dataclass
class TiledDecoder:
    """The head's result is map 0. ``groups``: of every norm."""

    head: nn.Module
    groups: int
    maps: list[Map] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)

    def window(self, section: Section) -> tuple[int, int]:
        """Height and width of the tiles that a section reads."""
        sides = ((side, tile_side(side * section.scale) // section.scale) for side in self.sides(section))
        height, width = (min(side, tile + 2 * section.halo) for side, tile in sides)
        return height, width

    def inputs(self, section: Section) -> tuple[Tensor, ...]:
        """Tensors of the shapes that the section's module takes."""
        height, width = self.window(section)
        shapes: list[tuple[int, ...]] = [(1, self.maps[section.source].channels, height, width)]
        if section.add is not None:
            shapes.append((1, self.maps[section.add].channels, height * section.scale, width * section.scale))
        if section.statistics is not None:
            shapes.append((self.groups, 2))
        return tuple(torch.zeros(shape) for shape in shapes)

    def to_json(self) -> dict[str, Any]:
        """What the engine needs: section i is the method ``section_name(i)``."""
        sections = [
            {
                "method": section_name(i),
                "source": section.source,
                "to": section.to,
                "halo": section.halo,
                "scale": section.scale,
                "tile": [tile_side(side * section.scale) for side in self.sides(section)],
                "add": -1 if section.add is None else section.add,
                "statistics": -1 if section.statistics is None else section.statistics,
            }
            for i, section in enumerate(self.sections)
        ]
        maps = [{"shape": [m.channels, m.height, m.width], "stored": m.stored} for m in self.maps]
        return {"head": HEAD, "groups": self.groups, "maps": maps, "sections": sections}

    def sides(self, section: Section) -> tuple[int, int]:
        """Height and width of the section's source."""
        return self.maps[section.source].height, self.maps[section.source].width

    def methods(self, latents: Tensor, prepare: Callable[[nn.Module, tuple[Tensor, ...]], nn.Module]) -> dict[str, Any]:
        """What ``lower`` takes; ``prepare`` makes the module that is lowered, for inputs of those shapes."""
        named: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {HEAD: (self.head, (latents,))}
        named |= {section_name(i): (s.module, self.inputs(s)) for i, s in enumerate(self.sections)}
        return {name: (prepare(module, inputs), inputs) for name, (module, inputs) in named.items()}


def section_name(index: int) -> str:
    return f"decode_section_{index}"


def tile_side(side: int) -> int:
    """The largest divisor of ``side`` up to TILE; even sides have even ones, as upsampling sections need."""
    return next(t for t in range(min(side, TILE), 0, -1) if side % t == 0 and (t % 2 == 0 or side % 2))


class Head(nn.Module):
    """Latents -> what the first ``blocks`` up blocks make, without their last upsampling."""

    def __init__(self, decoder: ImageDecoder, blocks: int):
        super().__init__()
        vae = decoder.vae
        self.post_quant_conv = vae.post_quant_conv
        self.conv_in, self.mid_block = vae.decoder.conv_in, vae.decoder.mid_block
        self.up_blocks = nn.ModuleList(vae.decoder.up_blocks[:blocks])

    def forward(self, latents: Tensor) -> Tensor:
        x: Any = self.mid_block(self.conv_in(self.post_quant_conv(latents)))
        for i, block in enumerate(self.up_blocks):
            if i:
                x = cast(Any, self.up_blocks[i - 1]).upsamplers[0](x)
            for resnet in cast(Any, block).resnets:
                x = resnet(x)
        return x


class Upsampled(nn.Module):
    """The input of an up block, whose halves of channels come together."""

    def __init__(self, upsample: nn.Module):
        super().__init__()
        self.upsample = upsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.upsample(x)
        return torch.cat(y, dim=1) if isinstance(y, tuple) else y


class Enter(nn.Module):
    """Both results of ResidualBlock.enter, one after the other; the second is left out where it is the input."""

    def __init__(self, block: ResidualBlock, upsample: nn.Module | None = None):
        super().__init__()
        self.upsample, self.block = upsample, block

    def forward(self, x: Tensor, statistics: Tensor) -> Tensor:
        results = self.block.enter(x if self.upsample is None else self.upsample(x), statistics)
        return results[0] if self.upsample is None else torch.cat(results, dim=1)


class Leave(nn.Module):
    def __init__(self, block: ResidualBlock):
        super().__init__()
        self.block = block

    def forward(self, inner: Tensor, shortcut: Tensor, statistics: Tensor) -> Tensor:
        return self.block.leave(inner, shortcut, statistics)


class ToPixels(nn.Module):
    def __init__(self, norm: GroupNorm, conv: nn.Module):
        super().__init__()
        self.norm, self.conv_out = norm, conv

    def forward(self, x: Tensor, statistics: Tensor) -> Tensor:
        return self.conv_out(self.norm(x, statistics))


def tiled_decoder(decoder: ImageDecoder, latents: Tensor) -> TiledDecoder | None:
    """``decoder`` (fused) in sections, from the first block on that has a map above LARGE_BYTES.

    None where no block has: tiles would gain nothing; and for decoders other than AutoencoderKL's, which are small.
    ``latents`` [1, C, S, S].
    """
    if decoder.vae.kind != "kl":
        return None
    blocks = cast(Any, decoder.vae.decoder.up_blocks)
    height, width = latents.shape[2:]
    kept = 1  # up blocks of the head
    while kept < len(blocks) and 4 * _channels(blocks[kept]) * height * width * 4**kept <= LARGE_BYTES:
        kept += 1
    if kept == len(blocks):
        return None
    height, width = height << (kept - 1), width << (kept - 1)
    tiled = TiledDecoder(Head(decoder, kept), decoder.vae.decoder.conv_norm_out.groups)
    tiled.maps.append(Map(_output_channels(blocks[kept - 1]), height, width))
    current = 0
    for block, before in zip(blocks[kept:], blocks[kept - 1 :], strict=False):
        height, width = 2 * height, 2 * width
        current = _add_block(tiled, block, before.upsamplers[0], current, height, width)
    norm, conv = decoder.vae.decoder.conv_norm_out, decoder.vae.decoder.conv_out
    tiled.sections.append(Section(ToPixels(norm, conv), current, [], statistics=current))
    return tiled


def _add_block(tiled: TiledDecoder, block: Any, upsample: nn.Module, source: int, height: int, width: int) -> int:
    """The sections of an up block whose input is map ``source``, upsampled; returns the map of its result."""
    large, channels = len(tiled.maps), _output_channels(block)
    inner, sum_ = large + 1, large + 2
    tiled.maps += [Map(_channels(block), height, width, stored=False)]
    tiled.maps += [Map(channels, height, width) for _ in (inner, sum_)]
    first, *others = block.resnets
    tiled.sections += [
        Section(Upsampled(upsample), source, [large], scale=2),
        Section(Enter(first, upsample), source, [inner, sum_], halo=2, scale=2, statistics=large),
        Section(Leave(first), inner, [sum_], add=sum_, statistics=inner),
    ]
    for resnet in others:
        tiled.sections += [
            Section(Enter(resnet), sum_, [inner], statistics=sum_),
            Section(Leave(resnet), inner, [sum_], add=sum_, statistics=inner),
        ]
    return sum_


def _channels(block: Any) -> int:
    """Of the input of an up block, which is as large as its output and has as many channels or more."""
    first = block.resnets[0]
    convolutions: Any = first.conv1 if isinstance(first.conv1, nn.ModuleList) else [first.conv1]
    return sum(conv.in_channels for conv in convolutions)


def _output_channels(block: Any) -> int:
    return block.resnets[-1].conv2.out_channels
