# SPDX-License-Identifier: Apache-2.0
"""The bundle's README.md: what it is, what was measured on it, how to run it, under which licence."""

from __future__ import annotations

import shlex
from pathlib import Path

from hqdit_mobile.export.bundle.agreement import STAGES, decibels
from hqdit_mobile.export.bundle.facts import facts
from hqdit_mobile.export.bundle.parity import ParityReport
from hqdit_mobile.export.bundle.quality import Quality
from hqdit_mobile.runtime.manifest import Manifest
from hqdit_mobile.util.texts import markdown, markdown_code, visible

RANDOM_WEIGHTS = "**The weights are random: it draws noise, and only time, memory and size mean something.**\n\n"
RUN = {
    "desktop": "",
    "android": "Open this folder in the demo app (android_demo), or load it with `hqdit_open` of hqdit.h. ",
    "ios": "Import this folder, or a zip file of it, in the demo app (ios_demo), or open it with the Swift package. ",
}
RUN_ONNX = "It is for ONNX Runtime (docs/onnx.md of hqdit-mobile); the demo apps take bundles of ExecuTorch only. "


def model_card(
    manifest: Manifest, folder: Path, parity: ParityReport, quality: Quality, source_card: str, command: str = ""
) -> str:
    """``source_card``: Markdown of the model that the bundle was made of; ``command``: the one that made the bundle."""
    source, _ = manifest.made_from(folder)
    sample = markdown_code(f"hqdit sample FOLDER --label {shlex.quote(quality.labels[0])} --seed 7 -o picture.png")
    table = "\n".join(f"| {name} | {markdown(value)} |" for name, value in facts(manifest, folder, quality))
    run = RUN_ONNX if manifest.runtime == "onnxruntime" else RUN[manifest.target]
    made = f" with {markdown_code(command)}" if command else ""
    return (
        f"# {markdown(manifest.name)} for {manifest.target}\n\n"
        f"{RANDOM_WEIGHTS if source.random_weights else ''}"
        f"Made by hqdit-mobile {manifest.tools['hqdit-mobile']}{made}. {run}"
        f"On a desktop: {sample}.\n\n"
        "![float model above, this bundle below](preview.png)\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f"## Parity with the quantized torch model\n\n{_parity(parity)}\n\n"
        "parity.json has every check, report.html the pictures and plots.\n\n"
        f"## The source model\n\n{_nested(source_card) or 'See the source.'}\n"
    )


def _parity(parity: ParityReport) -> str:
    """One line, and a table that is folded where Markdown is shown as HTML."""
    passed = sum(c.passed for c in parity.checks)
    stages = [
        f"| {stage} | {sum(c.stage == stage for c in parity.checks)} | {markdown(worst.name)} | "
        f"{decibels(worst.db)} | {decibels(worst.needed_db)} | {worst.unit} |"
        for stage in STAGES
        if any(c.stage == stage for c in parity.checks) and (worst := parity.worst(stage))
    ]
    head = "| stage | checks | worst | value | needed | unit |\n|---|---|---|---|---|---|\n"
    return (
        f"{passed} of {len(parity.checks)} checks passed ({parity.runtime}).\n\n"
        f"<details><summary>The worst of each stage</summary>\n\n{head}" + "\n".join(stages) + "\n\n</details>"
    )


def _nested(card: str) -> str:
    """The source's card with its headings below that of its section, and its HTML as text."""
    lines = visible(card, keep="\n\t").replace("<", "&lt;").splitlines()
    return "\n".join(f"##{line}" if line.startswith("#") else line for line in lines)
