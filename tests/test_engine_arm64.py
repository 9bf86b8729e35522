# SPDX-License-Identifier: Apache-2.0
"""The whole engine, with ExecuTorch, on ARM64: the picture that a phone's processor draws.

Set HQDIT_EXECUTORCH_AARCH64 to the unpacked wheel of ExecuTorch for ARM64 Linux:
    pip download --platform manylinux_2_28_aarch64 --python-version 3.11 --only-binary=:all: --no-deps executorch==1.5.1
Set HQDIT_TEST_BUNDLE to a bundle to draw with it, too.
"""

import math
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hqdit_mobile.engine import Pipeline

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ["aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++", "qemu-aarch64-static", "cmake", "ninja"]
WHEEL = os.environ.get("HQDIT_EXECUTORCH_AARCH64", "")


@pytest.fixture(scope="module")
def draw(tmp_path_factory) -> list[str]:
    """The command that draws under qemu."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(
            f"not found: {', '.join(missing)} (Debian: g++-aarch64-linux-gnu qemu-user-static cmake ninja-build)"
        )
    if not WHEEL:
        pytest.skip("HQDIT_EXECUTORCH_AARCH64 is not set to an unpacked executorch wheel for ARM64")
    folder = tmp_path_factory.mktemp("arm64")
    toolchain = ROOT / "export" / "cmake" / "aarch64-linux-gnu.cmake"
    settings = {"CMAKE_TOOLCHAIN_FILE": toolchain, "CMAKE_PREFIX_PATH": f"{WHEEL}/executorch/share/cmake"}
    settings |= {"CMAKE_BUILD_TYPE": "Release"}
    build = folder / "build"
    options = [f"-D{name}={value}" for name, value in settings.items()]
    subprocess.run(["cmake", "-S", ROOT / "export", "-B", build, "-G", "Ninja", *options], check=True)
    subprocess.run(["cmake", "--build", build, "--target", "hqdit"], check=True)
    libraries = [build / "sampler", build / "bindings", Path(WHEEL) / "executorch" / "lib"]
    program = folder / "draw"
    source = [f"-I{ROOT / 'export' / 'sampler' / 'include'}", ROOT / "tests" / "native" / "sampler_draw.c"]
    links = [f"-L{libraries[0]}", "-lhqdit", *(f"-Wl,-rpath-link,{library}" for library in libraries)]
    subprocess.run([TOOLS[0], "-std=c99", "-Wall", "-Wextra", "-Werror", *source, *links, "-o", program], check=True)
    path = "LD_LIBRARY_PATH=" + ":".join(map(str, libraries))
    return [TOOLS[2], "-cpu", "max", "-L", "/usr/aarch64-linux-gnu", "-E", path, str(program)]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = ((a.astype(np.float64) - b) ** 2).mean()
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def compare(draw: list[str], bundle: Path, label: int, seed: int, steps: int) -> float:
    command = [*draw, str(bundle), str(label), str(seed), str(steps)]
    result = subprocess.run(command, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()
    with Pipeline(bundle) as pipeline:
        expected = pipeline.generate(label, seed=seed, steps=steps)
    return psnr(np.frombuffer(result.stdout, np.uint8).reshape(expected.shape), expected)


def test_tiny_bundle_draws_the_same_picture(draw, tiny_bundle):
    assert compare(draw, tiny_bundle, 1, 7, 10) >= 45


def test_real_bundle_draws_the_same_picture(draw):
    bundle = os.environ.get("HQDIT_TEST_BUNDLE")
    if not bundle:
        pytest.skip("HQDIT_TEST_BUNDLE is not set to a bundle")
    assert compare(draw, Path(bundle), 12, 7, 4) >= 45
