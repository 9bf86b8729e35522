# SPDX-License-Identifier: Apache-2.0
"""manifest.json as types: what it may hold stands here and nowhere else; manifest_file.py reads and writes it. Imports
no torch.

``python -m hqdit_mobile.runtime.manifest`` prints the JSON schema that these types are, which the package ships as
manifest.schema.json. The engine reads the same members (export/sampler/src/manifest.cpp).
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from hqdit_mobile.diffusion.process import Process

SCHEMA_VERSION = 2
MANIFEST = "manifest.json"

Count = Annotated[int, Meta(ge=1)]
Bytes = Annotated[int, Meta(ge=0, le=1 << 46)]
Share = Annotated[float, Meta(ge=0, le=1)]
Shape = tuple[Count, Count, Count]


class BundleError(ValueError):
    """A bundle that cannot be used, or written; the message names the file or field and the fix."""


class _Section(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Members that a later version may add are left alone; a member without a default must be there."""


class ModelFile(_Section):
    """``path`` inside the bundle; ``sha256`` in lower-case hexadecimal digits."""

    path: str
    bytes: Annotated[int, Meta(ge=1, le=1 << 46)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Source(_Section):
    model: str
    licence: str
    random_weights: bool


class Model(_Section):
    """Shapes are [channels, height, width]; labels count from 0. ``null_label`` is the one of no class, absent for a
    model that was trained without it, which draws without guidance."""

    latent_shape: Shape
    image_shape: Shape
    num_classes: Annotated[int, Meta(ge=1, le=1_000_000)]
    vae_scaling_factor: float
    null_label: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None


class Condition(_Section):
    """A tensor that the programs take beside latents and time, in the order of their inputs. ``shape``: without the
    batch. ``null``: what fills the one that stands for none, which guidance needs."""

    name: str
    type: Literal["int64", "float32"]
    shape: list[Count] = msgspec.field(default_factory=list)
    null: int | float | None = None


class Quantization(_Section):
    """``config``: the fields of HQDiTConfig. ``a4_share``: multiply-adds with 4-bit activations."""

    bits_per_weight: float
    float32_bytes: Bytes
    a4_share: Share | None = None
    config: dict[str, Any] = {}

    @property
    def precision(self) -> str:
        return str(self.config.get("precision", "unknown"))


class BetasPath(_Section, tag_field="kind", tag="variance_preserving"):
    """diffusion.process.VariancePreserving; ``alphas_cumprod`` of the beta_schedule "tabulated" alone."""

    num_train_timesteps: Annotated[int, Meta(ge=1, le=1_000_000)]
    beta_start: Share
    beta_end: Share
    beta_schedule: str
    steps_offset: Annotated[int, Meta(ge=0)]
    set_alpha_to_one: bool
    alphas_cumprod: list[Share] = []


class FlowPath(_Section, tag_field="kind", tag="flow"):
    """diffusion.process.Flow."""

    num_train_timesteps: Annotated[int, Meta(ge=1, le=1_000_000)]
    interpolation: str
    time_at_noise: float
    time_at_data: float
    shift: float
    start: Share
    end: Share


class Multistep(_Section):
    """diffusion.process.MultistepOptions."""

    solver_order: Annotated[int, Meta(ge=1, le=2)]
    solver_type: str
    lower_order_final: bool
    euler_at_final: bool
    final_sigmas_type: str


class ProcessSection(_Section):
    """What the network was trained to undo: diffusion.process.Process, field by field."""

    path: BetasPath | FlowPath
    prediction: str
    guided_channels: Count
    spacing: str
    sampler: str
    multistep: Multistep
    clip_sample_range: float | None = None

    @classmethod
    def of(cls, process: Process) -> ProcessSection:
        return msgspec.convert(process.to_json(), cls)

    def build(self) -> Process:
        """Raises ProcessError naming the field at fault."""
        return Process.from_json(msgspec.to_builtins(self))


class Defaults(_Section):
    """What an app draws with unless it asks for something else."""

    scheduler: str
    steps: Count
    guidance_scale: float
    guidance_interval: tuple[Share, Share]


class Preview(_Section):
    """A preview's R, G and B in -1..1 are ``matrix`` [3, channels] times the clean latents, plus ``bias`` [3]."""

    matrix: tuple[list[float], list[float], list[float]]
    bias: tuple[float, float, float]


class Memory(_Section):
    """``tiled_peak_bytes``: under a limit that makes the engine decode in tiles, where it can."""

    weights_bytes: Bytes
    arena_bytes: Bytes
    peak_bytes: Bytes
    tiled_peak_bytes: Bytes | None = None


class Decoder(_Section):
    """``tiles``: the sections of a decode in tiles (docs/engine.md)."""

    precision: str = "float32"
    psnr_db: float | None = None
    int8_psnr_db: float | None = None
    tiles: dict[str, Any] | None = None


class Methods(_Section):
    """``guided``: absent where the model has no ``null_label``."""

    unguided: str
    decode: str
    guided: str | None = None


class Onnx(_Section):
    opset: int
    ir_version: int
    operator_domain: str
    operator_version: int
    oldest_runtime: str
    native_library: str
    portable: bool


class Manifest(_Section):
    """All of manifest.json; manifest.schema.json beside this file has the types and ranges.

    Attributes:
        schema_version: of this layout.
        name: of the model.
        target: "android", "ios" or "desktop".
        runtime: "executorch" or "onnxruntime".
        model: shapes, [channels, height, width], and classes.
        files: at least ``transformer`` and ``vae_decoder``, with sizes in bytes and SHA-256.
        methods: names of the programs' methods.
        process: what the network was trained to undo.
        defaults: of drawing.
        memory: what drawing needs, in bytes.
        labels: the name of each class, by its number.
        conditions: what the programs take beside latents and time; without them there is one, the label.
        source: the model and its licence.
        quantization: recipe, bits per weight, bytes of the float model.
        decoder: precision of the image decoder, its tiles.
        onnx: versions of an ONNX bundle.
        preview: the linear map from a latent to colours.
        documents: by name, what else lies in the folder, which no runtime reads: so the manifest's signature is one of
            all files.
        tools: versions that made the bundle.
        export_seconds: what the export took.
        export_peak_bytes: the most memory that the exporting process held.
    """

    schema_version: int
    name: str
    target: str
    runtime: str
    model: Model
    files: dict[str, ModelFile]
    methods: Methods
    process: ProcessSection
    defaults: Defaults
    memory: Memory
    labels: list[str]
    conditions: list[Condition] = []
    source: Source | None = None
    quantization: Quantization | None = None
    decoder: Decoder | None = None
    onnx: Onnx | None = None
    preview: Preview | None = None
    documents: dict[str, ModelFile] = {}
    tools: dict[str, str] = {}
    export_seconds: float | None = None
    export_peak_bytes: Bytes | None = None

    def made_from(self, folder: Path) -> tuple[Source, Quantization]:
        """What an export says of itself.

        Args:
            folder: of the bundle, for the message.

        Returns:
            The sections ``source`` and ``quantization``.

        Raises:
            BundleError: this bundle was made by other means.
        """
        if self.source is None or self.quantization is None:
            raise BundleError(f"{folder / MANIFEST} has no source or quantization: hqdit-export did not make it")
        return self.source, self.quantization


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of manifest.json, schema version 2."""
    schema = msgspec.json.schema(Manifest)
    for section in schema["$defs"].values():
        if "description" in section:  # msgspec before 0.23 and Python before 3.13 leave a docstring's indentation
            section["description"] = inspect.cleandoc(section["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "hqdit-mobile bundle", **schema}


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
