# SPDX-License-Identifier: Apache-2.0
"""Short runs of the fuzzers; docs/security.md has the command of a long one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_model

FUZZ = Path(__file__).parent
TARGETS = ["fuzz_manifest", "fuzz_program"]  # fuzz_weights needs all kernels, which take minutes to compile


@pytest.fixture(scope="module")
def corpora(tmp_path_factory, tiny_files) -> Path:
    """A folder of seeds for each fuzzer."""
    folder = tmp_path_factory.mktemp("corpora")
    for target in TARGETS:
        (folder / target).mkdir()
    manifest = tiny_model.make_manifest(tiny_files) | {"decoder": {"tiles": tiny_model.decoder_tiles()}}
    (folder / "fuzz_manifest" / "manifest.json").write_text(json.dumps(manifest))
    for name, data in tiny_files.items():
        (folder / "fuzz_program" / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def fuzzers(tmp_path_factory) -> Path:
    clang = next((c for c in ("clang++", *(f"clang++-{v}" for v in range(22, 12, -1))) if shutil.which(c)), None)
    if clang is None or not sys.platform.startswith("linux"):
        pytest.skip("libFuzzer needs clang++ (Debian: clang and libclang-rt-dev of the same version)")
    folder = tmp_path_factory.mktemp("fuzz")
    options = [f"-DCMAKE_CXX_COMPILER={clang}", "-DCMAKE_CXX_FLAGS=-O1"]
    for command in (
        ["cmake", "-S", FUZZ, "-B", folder, "-G", "Ninja", *options],
        ["cmake", "--build", folder, "--parallel", "2", "--target", *TARGETS],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "libclang_rt.fuzzer" in done.stdout + done.stderr and "cannot find" in done.stdout + done.stderr:
            pytest.skip(f"{clang} has no libFuzzer (Debian: libclang-rt-dev of the same version)")
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("target", TARGETS)
def test_fuzzer(fuzzers, corpora, target, tmp_path):
    """No crash, nothing that the sanitizers see, no input over 2 s or 512 MB, most of it the sanitizers."""
    limits = ["-timeout=2", "-rss_limit_mb=512", "-max_len=65536", f"-artifact_prefix={tmp_path}/"]
    command = [fuzzers / target, "-runs=20000", "-max_total_time=20", "-seed=1", *limits, corpora / target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_mutants_through_the_engine(tiny_bundle):
    """Bundles whose digests agree: each is refused or draws, and no process dies."""
    command = [sys.executable, "-I", FUZZ / "engine_mutants.py", tiny_bundle, "300", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert "DIED" not in outcomes and outcomes["slow"] == 0, done.stdout
    assert outcomes["drew"] > 10 and outcomes["INVALID_BUNDLE"] > 100, outcomes
