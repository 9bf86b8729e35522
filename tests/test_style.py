# SPDX-License-Identifier: Apache-2.0
"""The tree keeps its own rules: ruff, mypy, clang-format, small files, light imports."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CPP = [p for folder in ("export", "android_demo", "examples", "tests") for p in (ROOT / folder).rglob("*.[ch]*")]
CPP = [p for p in CPP if p.suffix in (".c", ".cpp", ".h") and "build" not in p.parts]


def tool(name: str, *arguments: str) -> None:
    program = Path(sys.executable).parent / name
    result = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_ruff():
    tool("ruff", "check")
    tool("ruff", "format", "--check")


@pytest.mark.slow
def test_mypy():
    tool("mypy")


def test_clang_format():
    tool("clang-format", "--dry-run", "--Werror", *map(str, CPP))


@pytest.mark.parametrize("module", ["hqdit_mobile", "hqdit_mobile.cli.main", "hqdit_mobile.runtime.engine"])
def test_light_imports(module):
    """A phone engineer who asks for --help or draws a picture does not wait for torch."""
    heavy = "{'torch', 'onnx', 'diffusers', 'matplotlib'} & set(sys.modules)"
    tool("python", "-I", "-c", f"import sys, {module}; sys.exit(str({heavy}) if {heavy} else 0)")
