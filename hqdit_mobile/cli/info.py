# SPDX-License-Identifier: Apache-2.0
"""``hqdit info``: what a bundle is and needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hqdit_mobile.cli.console import plain, say
from hqdit_mobile.runtime.manifest import Manifest


def run_info(bundle: Path, labels: bool, public_keys: Sequence[str] = ()) -> None:
    from hqdit_mobile.runtime.manifest_file import read_manifest
    from hqdit_mobile.runtime.memory import memory_text

    console = Console()
    manifest = read_manifest(bundle, public_keys)
    defaults, source, quantization = manifest.defaults, manifest.source, manifest.quantization
    precision = quantization and f"{quantization.precision}, {quantization.bits_per_weight} bits per quantized weight"
    unguided = ", no null class: it draws without guidance" if manifest.model.null_label is None else ""
    rows = {
        "name": manifest.name,
        "target": f"{manifest.target}, {manifest.runtime}",
        "source": f"{source.model} ({source.licence})" if source else "unknown",
        "precision": precision or "unknown",
        "image": " x ".join(str(n) for n in manifest.model.image_shape[1:]),
        "classes": f"{manifest.model.num_classes}{unguided}",
        "defaults": f"{defaults.scheduler}, {defaults.steps} steps, guidance {defaults.guidance_scale}",
        "files": ", ".join(f"{f.path} ({f.bytes / 1e6:.1f} MB)" for f in manifest.files.values()),
        "signature": _signature(bundle, manifest, public_keys),
        "memory": memory_text(manifest.memory),
        "made with": ", ".join(f"{tool} {version}" for tool, version in manifest.tools.items()),
    }
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(plain(name, "bold"), plain(value))
    console.print(table)
    if labels:
        for index, name in enumerate(manifest.labels):
            say(console, f"{index:4} {name}")


def _signature(bundle: Path, manifest: Manifest, public_keys: Sequence[str]) -> str:
    """Of a manifest that was read with these keys."""
    from hqdit_mobile.runtime.documents import check_digests
    from hqdit_mobile.runtime.signature import SIGNATURE

    if not public_keys:
        return "not verified: give --public-key" if (bundle / SIGNATURE).exists() else "none"
    uncovered = check_digests(bundle, manifest)
    return "valid, and so are the files" + (
        f", but for {', '.join(uncovered)}, which it does not cover" * bool(uncovered)
    )
