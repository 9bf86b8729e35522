# SPDX-License-Identifier: Apache-2.0
"""Imports go one way (docs/architecture.md): a room knows those below it and none of those above; no circles."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
BELOW = {
    "util": (),
    "runtime": ("util", "diffusion", "ops"),
    "diffusion": ("util",),
    "ops": ("util",),
    "model": ("util", "diffusion", "ops"),
    "quantize": ("util", "diffusion", "ops", "model"),
    "export": ("util", "diffusion", "ops", "model", "quantize", "runtime"),
    "evaluate": ("util", "diffusion", "ops", "model", "quantize", "runtime", "export"),
    "bench": ("util", "diffusion", "ops", "model", "quantize", "runtime", "export"),
    "cli": ("util", "diffusion", "ops", "model", "quantize", "runtime", "export", "evaluate", "bench"),
}
# What runs on a machine that only draws: NumPy, and ONNX Runtime where a bundle asks for it.
WITHOUT_TORCH = [
    *(f"hqdit_mobile.runtime.{path.stem}" for path in (ROOT / "hqdit_mobile/runtime").glob("*.py")),
    "hqdit_mobile.ops.native",
    "hqdit_mobile.cli.main",
]


def modules() -> dict[str, ast.Module]:
    found = {}
    for folder, prefix in (("hqdit_mobile", "hqdit_mobile"), ("export", "hqdit_mobile.export")):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((prefix, *(part for part in parts if part != "__init__")))
            found[name] = ast.parse(path.read_text())
    return found


def imports(tree: ast.Module, names: set[str]) -> set[str]:
    """The modules of ours that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & names
            found |= inner or {node.module}
    return found & names


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in BELOW else None


GRAPH = {name: imports(tree, set(parsed)) for parsed in [modules()] for name, tree in parsed.items()}


def test_rooms_know_only_what_is_below_them():
    wrong = [
        f"{name} imports {other}"
        for name, others in sorted(GRAPH.items())
        for other in sorted(others)
        if (here := room(name)) and (there := room(other)) and there != here and there not in BELOW[here]
    ]
    assert not wrong, "\n".join(wrong)


def test_there_are_no_circles():
    top = {name: {other for other in others if room(other)} - {name} for name, others in GRAPH.items()}
    list(TopologicalSorter(top).static_order())  # raises CycleError, which names the circle


def test_every_module_is_in_a_room():
    outside = {name for name in GRAPH if room(name) is None} - {"hqdit_mobile", "hqdit_mobile.__main__"}
    assert not outside


def test_drawing_needs_no_torch():
    check = f"import sys, {', '.join(WITHOUT_TORCH)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-I", "-c", check], check=False).returncode == 0
