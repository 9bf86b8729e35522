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


def test_sources_have_at_most_400_lines():
    """CONTRIBUTING.md's limit, for what people write: generated projects and data may be longer."""
    suffixes = {".py", ".c", ".cpp", ".h", ".kt", ".kts", ".java", ".swift", ".sh"}
    tops = ("hqdit_mobile", "export", "android_demo", "ios_demo", "examples", "tests")
    sources = [p for top in tops for p in (ROOT / top).rglob("*") if p.suffix in suffixes and "build" not in p.parts]
    assert len(sources) > 500
    long = {str(p.relative_to(ROOT)): count for p in sources if (count := p.read_text().count("\n")) > 400}
    assert not long


@pytest.mark.parametrize("module", ["hqdit_mobile", "hqdit_mobile.cli.main", "hqdit_mobile.runtime.engine"])
def test_light_imports(module):
    """A phone engineer who asks for --help or draws a picture does not wait for torch."""
    heavy = "{'torch', 'onnx', 'diffusers', 'matplotlib'} & set(sys.modules)"
    tool("python", "-I", "-c", f"import sys, {module}; sys.exit(str({heavy}) if {heavy} else 0)")
