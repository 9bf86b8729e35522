# SPDX-License-Identifier: Apache-2.0
"""``hqdit-export``: prints the plan, follows the stages, ends with a table of the files."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hqdit_mobile.cli.console import plain, say
from hqdit_mobile.cli.exits import CheckFailed
from hqdit_mobile.runtime.manifest import Manifest
from hqdit_mobile.util.progress import Stages


def run_export(
    model: str,
    vae: str | None,
    target: str,
    runtime: str,
    output: Path,
    recipe_name: str,
    quality: str,
    num_calibration_samples: int | None,
    seed: int,
    steps: int,
    scheduler: str | None,
    guidance_scale: float | None,
    guidance_interval: tuple[float, float],
    fast: bool,
    force: bool,
    family: str | None = None,
    num_heads: int | None = None,
    num_classes: int | None = None,
    licence: str | None = None,
    sign: Path | None = None,
) -> None:
    console = Console(stderr=True)
    from hqdit_mobile.export.bundle.folder import real_output
    from hqdit_mobile.export.bundle.job import export_bundle
    from hqdit_mobile.export.bundle.options import ExportOptions
    from hqdit_mobile.export.bundle.parity import ParityError
    from hqdit_mobile.model.checkpoints.given import Given
    from hqdit_mobile.quantize.recipes import high_quality, recipe
    from hqdit_mobile.runtime.manifest_file import read_manifest
    from hqdit_mobile.runtime.signature import read_private_key

    key = read_private_key(sign) if sign else None  # better known before an hour of work
    config = replace(recipe(recipe_name), seed=seed)
    if quality == "high":
        if fast:
            raise ValueError("--fast is a first look and --quality high takes its time: choose one of them")
        config = high_quality(config)
    output = real_output(output)
    options = ExportOptions(
        model,
        output,
        target,
        vae,
        config,
        steps,
        guidance_scale,
        force,
        runtime,
        fast,
        scheduler,
        guidance_interval,
        num_calibration_samples,
        _command(sys.argv[1:]),
        Given(family, num_heads, num_classes, licence),
        key,
    )
    console.print(_plan(options))
    try:
        with Stages(console) as stages:
            export_bundle(options, stages)
    except ParityError as error:
        raise CheckFailed(str(error)) from error
    manifest = read_manifest(output)
    console.print(_files(output))
    for line in _summary(output, manifest):
        say(console, line)
    say(console, "\nWhat now", "bold")
    for what, command in _next_steps(output, manifest):
        say(console, f"  {what}:")
        console.print(plain(f"    {command}"), highlight=False, soft_wrap=True)  # in one piece, to be copied


def _command(arguments: list[str]) -> str:
    """What a bundle says that it was made with: not where its private key lies."""
    shown = list(arguments)
    if "--sign" in shown:
        place = shown.index("--sign")
        del shown[place : place + 2]
    return shlex.join(["hqdit-export", *(argument for argument in shown if not argument.startswith("--sign="))])


def after_stop(output: Path) -> str:
    """What to say when Ctrl-C ended an export."""
    from hqdit_mobile.export.bundle.folder import real_output
    from hqdit_mobile.export.bundle.resume import work_path

    kept = work_path(real_output(output))
    return f"{kept} has what is finished; the same command goes on" if kept.exists() else "nothing was written"


def _plan(options) -> Table:
    from hqdit_mobile.export.bundle.model_files import RUNTIMES
    from hqdit_mobile.export.bundle.resume import work_path

    config = options.config
    table = Table(show_header=False, box=None, title="Plan", title_justify="left")
    for name, value in (
        ("model", options.model),
        ("target", f"{options.target}, {RUNTIMES[options.runtime]}"),
        ("precision", f"{config.precision}: FP4 weights, group {config.group}, Hadamard {config.rotation}"),
        ("seed", str(config.seed)),
        ("output", str(options.output)),
    ):
        table.add_row(name, plain(value))
    if work_path(options.output).exists():
        table.add_row("goes on from", plain(work_path(options.output)))
    return table


def _files(output: Path) -> Table:
    table = Table(title=plain(output), title_justify="left", box=None)
    table.add_column("file")
    table.add_column("bytes", justify="right")
    for path in sorted(path for path in output.rglob("*") if path.is_file()):
        table.add_row(plain(path.relative_to(output)), f"{path.stat().st_size:,}")
    return table


def _summary(output: Path, manifest: Manifest) -> tuple[str, str]:
    original, weights = manifest.made_from(output)[1].float32_bytes, manifest.memory.weights_bytes
    minutes, peak = (manifest.export_seconds or 0) / 60, (manifest.export_peak_bytes or 0) / 2**30
    return (
        f"\nModel files: {weights / 1e6:.1f} MB, {weights / original:.3f} of the float32 weights they replace.",
        f"The export took {minutes:.1f} minutes and at most {peak:.2f} GiB of memory.",
    )


PUT = {
    "android": ("Put it on a phone (docs/android.md)", "android_demo/install_bundle.sh {folder}"),
    "ios": ("Put it on a phone, or import it in the app (docs/ios.md)", "ios_demo/install_bundle.sh {folder}"),
    "desktop": ("Use it in a program: hqdit.h (docs/engine.md), or Python", "hqdit_mobile.Pipeline({path!r})"),
}
PUT_ONNX = (
    "Use it in a program with ONNX Runtime (docs/onnx.md); the demo apps take bundles of ExecuTorch only",
    "hqdit_mobile.OnnxPipeline({path!r})",
)


def _next_steps(output: Path, manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """What one can do, and the command or file for it, relative to the working folder where that is shorter."""
    path = min(str(output), os.path.relpath(output), key=len)
    folder, label = shlex.quote(path), shlex.quote(manifest.labels[0])
    put, command = PUT_ONNX if manifest.runtime == "onnxruntime" else PUT[manifest.target]
    return (
        ("Draw here", f"hqdit sample {folder} --label {label} --seed 7 -o picture.png"),
        (put, command.format(folder=folder, path=path)),
        ("Look at pictures, errors and parity in a browser", os.path.join(path, "report.html")),
    )
