# SPDX-License-Identifier: Apache-2.0
"""manifest.json as types: what it may hold stands here and nowhere else. Imports no torch.

``python -m hqdit_mobile.runtime.manifest`` prints the JSON schema that these types are, which the package ships as
manifest.schema.json. The engine reads the same members (export/sampler/src/manifest.cpp).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from hqdit_mobile.diffusion.process import Process, ProcessError
from hqdit_mobile.runtime.schema_1 import from_schema_1
from hqdit_mobile.runtime.signature import check_signature
from hqdit_mobile.util.texts import controls_in

SCHEMA_VERSION = 2
MANIFEST = "manifest.json"
MAX_BYTES = 2 << 20  # the engine's limit, too: a manifest of 10,000 classes with long names has a third of it

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


def read_manifest(folder: Path, public_keys: Sequence[str] = ()) -> Manifest:
    """Reads and checks manifest.json and looks for the files that it names (sizes, not digests).

    Args:
        folder: of the bundle.
        public_keys: each 64 hexadecimal digits; one of them must have signed the bundle, where there are any.

    Returns:
        The manifest, of the newest schema.

    Raises:
        BundleError: a file is missing or damaged, or a field has no sense; the message names it.
        SignatureError: none of ``public_keys`` has signed it.
    """
    text = read_manifest_text(folder)
    if public_keys:
        check_signature(folder, text, public_keys)
    path = folder / MANIFEST
    manifest = parse_manifest(text, str(path))
    for entry in manifest.files.values():
        file = folder / entry.path
        if not file.resolve().is_relative_to(folder.resolve()):
            raise BundleError(f"{path}: {entry.path} points outside the bundle")
        if not file.is_file():
            raise BundleError(f"{file} is missing; copy the whole bundle or export it again")
        if (size := file.stat().st_size) != entry.bytes:
            raise BundleError(f"{file} has {size} bytes, {MANIFEST} says {entry.bytes}: the copy is incomplete")
    return manifest


def read_manifest_text(folder: Path) -> bytes:
    """The bytes that a signature is over; raises BundleError."""
    path = folder / MANIFEST
    try:
        if not path.is_file():
            raise BundleError(f"{path.parent} is not a bundle: it has no {MANIFEST}")
        if path.stat().st_size > MAX_BYTES:
            raise BundleError(f"{path} has more than {MAX_BYTES >> 20} MB, which no manifest needs")
        return path.read_bytes()
    except (OSError, RuntimeError) as error:  # pathlib's RuntimeError: links that go round
        raise BundleError(f"{path} cannot be read: {error}") from error


def parse_manifest(text: bytes, name: str = MANIFEST) -> Manifest:
    """``name``: what errors call it. Raises BundleError naming the field at fault."""
    try:
        values = msgspec.json.decode(text)
        version = values.get("schema_version") if isinstance(values, dict) else None
        if version == 1:
            values = from_schema_1(values, Quantization.__struct_fields__) | {"schema_version": SCHEMA_VERSION}
        elif version != SCHEMA_VERSION:
            raise BundleError(
                f"{name}: schema_version is {version!r}, this version reads 1 and {SCHEMA_VERSION}; export the bundle "
                "again or update hqdit-mobile"
            )
        manifest = msgspec.convert(values, Manifest)
        manifest.process.build()
    except ProcessError as error:
        raise BundleError(f"{name}: process.{error}; export the bundle again") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{name} is no manifest ({error}); export the bundle again") from error
    if missing := {"transformer", "vae_decoder"} - set(manifest.files):
        raise BundleError(f"{name}: files has no {min(missing)}; export the bundle again")
    if manifest.model.null_label is None:
        _check_unguided(manifest, name)
    elif manifest.methods.guided is None:
        raise BundleError(f"{name}: methods.guided: is missing, but model.null_label is there; export the bundle again")
    if fault := controls_in(_texts(manifest)):
        raise BundleError(f"{name}: {fault}, which would change what a terminal or an app shows around it")
    if len(manifest.labels) != manifest.model.num_classes:
        raise BundleError(f"{name}: {len(manifest.labels)} labels for {manifest.model.num_classes} classes")
    _check_conditions(manifest, name)
    return manifest


def _check_unguided(manifest: Manifest, name: str) -> None:
    if manifest.methods.guided is not None:
        raise BundleError(f"{name}: methods.guided: needs model.null_label, which is missing; export the bundle again")
    if manifest.defaults.guidance_scale != 1:
        raise BundleError(
            f"{name}: defaults.guidance_scale: must be 1 where there is no model.null_label; export the bundle again"
        )


def _check_conditions(manifest: Manifest, name: str) -> None:
    """Engines, apps and pipelines draw by class: what a bundle's programs take must be its label."""
    if not manifest.conditions:
        return
    label = Condition(name="label", type="int64", null=manifest.model.null_label)
    if [condition.name for condition in manifest.conditions] != [label.name]:
        names = ", ".join(condition.name for condition in manifest.conditions)
        raise BundleError(f"{name}: conditions are {names}; this version draws by label alone: update hqdit-mobile")
    if manifest.conditions != [label]:
        raise BundleError(
            f"{name}: conditions: the label must be one int64 with the null value model.null_label; export the bundle "
            "again"
        )


def _texts(manifest: Manifest) -> dict[str, str | list[str]]:
    """What people get to see."""
    source = manifest.source or Source(model="", licence="", random_weights=False)
    return {
        "name": manifest.name,
        "target": manifest.target,
        "runtime": manifest.runtime,
        "labels": manifest.labels,
        "conditions": [condition.name for condition in manifest.conditions],
        "source.model": source.model,
        "source.licence": source.licence,
        "tools": [*manifest.tools, *manifest.tools.values()],
        "files": [entry.path for entry in manifest.files.values()],
        "documents": [entry.path for entry in manifest.documents.values()],
    }


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def describe_file(folder: Path, name: str) -> ModelFile:
    """The manifest's entry for a file of the bundle."""
    path = folder / name
    with path.open("rb") as stream:
        return ModelFile(path=name, bytes=path.stat().st_size, sha256=sha256_of(stream))


def sha256_of(stream: IO[bytes]) -> str:
    """Of what follows in the stream, in hexadecimal digits."""
    digest = hashlib.sha256()
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of manifest.json, schema version 2."""
    schema = msgspec.json.schema(Manifest)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "hqdit-mobile bundle", **schema}


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
