# SPDX-License-Identifier: Apache-2.0
"""The library of the Android app, built for ARM64: engine, operators and kernels linked statically as on the phone.

ExecuTorch is that of its Python package for ARM64 Linux, since the phone's needs the NDK: it is fetched with pip, or
HQDIT_EXECUTORCH_AARCH64 names the unpacked wheel. Each fp4_linear is compared bit by bit in test_kernels_native.py.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from android_checks import DEMO, java_home

from hqdit_mobile.runtime.engine import Pipeline

pytestmark = [pytest.mark.native, pytest.mark.arm, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
# Without SME, for which XNNPACK has kernels of its own: qemu 7.2 multiplies SMOPA's bytes wrongly (qemu issue 2083).
# With qemu's own cipher for signed pointers, not the one of the architecture, which takes most of the time.
CPU = "max,sme=off,pauth-impdef=on"
TOOLS = ["aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++", "qemu-aarch64-static", "cmake", "ninja", "javac"]
WHEEL = ["--platform", "manylinux_2_28_aarch64", "--python-version", "3.11", "--only-binary=:all:", "--no-deps"]


def run(*command: str | Path, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def executorch(tmp_path_factory) -> Path:
    """The folder of the ARM64 package."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(
            f"not found: {', '.join(missing)} (Debian: g++-aarch64-linux-gnu qemu-user-static openjdk-17-jdk-headless)"
        )
    if given := os.environ.get("HQDIT_EXECUTORCH_AARCH64"):
        return Path(given) / "executorch"
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "-q", *WHEEL, "-d", folder, "executorch==1.5.1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"pip cannot fetch executorch 1.5.1 for manylinux_2_28_aarch64: {done.stderr.strip()[-300:]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder / "executorch"


@pytest.fixture(scope="module")
def build(executorch, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("aarch64")
    toolchain = ROOT / "export" / "cmake" / "aarch64-linux-gnu.cmake"
    settings = {"CMAKE_TOOLCHAIN_FILE": toolchain, "CMAKE_PREFIX_PATH": executorch / "share" / "cmake"}
    options = [f"-D{name}={value}" for name, value in (settings | {"CMAKE_BUILD_TYPE": "Release"}).items()]
    source = DEMO / "hqdit" / "src" / "main" / "cpp"
    run("cmake", "-S", source, "-B", folder, "-G", "Ninja", *options, env=os.environ | {"JAVA_HOME": str(java_home())})
    run("cmake", "--build", folder)
    return folder


def test_only_jni_is_visible(build):
    symbols = run("aarch64-linux-gnu-nm", "-D", "--defined-only", build / "libhqdit.so")
    visible = {line.split()[-1] for line in symbols.splitlines()}
    native = (DEMO / "hqdit" / "src" / "main" / "kotlin" / "hqdit" / "mobile" / "Native.kt").read_text()
    declared = set(re.findall(r"external fun (\w+)\(", native))
    assert len(declared) >= 10
    assert visible == {f"Java_hqdit_mobile_Native_{name}" for name in declared}


def test_segments_have_the_alignment_of_16_kb_pages(build):
    headers = run("aarch64-linux-gnu-readelf", "-lW", build / "libhqdit.so")
    alignments = [line.split()[-1] for line in headers.splitlines() if line.split()[:1] == ["LOAD"]]
    assert alignments and set(alignments) == {"0x4000"}


def test_our_code_takes_less_than_a_megabyte(build, tmp_path):
    """JNI included, ExecuTorch not: it is linked from shared libraries here."""
    run("aarch64-linux-gnu-strip", "--strip-unneeded", build / "libhqdit.so", "-o", tmp_path / "libhqdit.so")
    assert (tmp_path / "libhqdit.so").stat().st_size < 1_000_000


def test_the_library_does_not_tell_where_it_was_built(build):
    assert str(ROOT).encode() not in (build / "libhqdit.so").read_bytes()


@pytest.fixture(scope="module")
def draw(build, executorch) -> list[str]:
    """The command that draws under qemu, with the archives that libhqdit.so is made of."""
    program, include = build / "draw", ROOT / "export" / "sampler" / "include"
    c_flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{include}"]
    run(TOOLS[0], *c_flags, "-c", ROOT / "tests" / "native" / "sampler_draw.c", "-o", build / "draw.o")
    archives = ["sampler/libhqdit.a", "bindings/libhqdit_ops.a", "kernels/libhqdit_kernels.a"]
    library = executorch / "lib"
    names = ["", "_threadpool", "_kernels_optimized", "_backend_xnnpack"]
    links = [f"-L{library}", f"-Wl,-rpath-link,{library}", "-Wl,--no-as-needed"]
    links += [f"-lexecutorch{name}" for name in names]
    run(TOOLS[1], build / "draw.o", *(build / archive for archive in archives), *links, "-o", program)
    return [TOOLS[2], "-cpu", CPU, "-L", "/usr/aarch64-linux-gnu", "-E", f"LD_LIBRARY_PATH={library}", str(program)]


def compare(draw: list[str], bundle: Path, label: int, steps: int, limit: int = 0) -> None:
    done = subprocess.run([*draw, bundle, str(label), "11", str(steps), str(limit)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    with Pipeline(bundle, memory_limit_bytes=limit) as pipeline:
        assert pipeline.decodes_tiled == (limit > 0)
        expected = pipeline.generate(label, seed=11, steps=steps)
    actual = np.frombuffer(done.stdout, np.uint8).reshape(expected.shape)
    error = np.mean((actual.astype(float) - expected) ** 2)
    assert error <= 255**2 / 10**5, f"{10 * np.log10(255**2 / error):.1f} dB, at least 50 needed"


def test_the_tiny_model_draws_the_same_picture(draw, tiny_bundle):
    compare(draw, tiny_bundle, 1, 10)


def test_tiles_decode_to_the_same_picture(draw, int8_tiled_bundle):
    compare(draw, int8_tiled_bundle, 1, 2, limit=31_999_999)


def test_the_reference_model_draws_the_same_picture(draw, emoji_bundle):
    compare(draw, emoji_bundle, 3, 2)
