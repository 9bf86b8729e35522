# SPDX-License-Identifier: Apache-2.0
"""Short runs of the fuzzers; docs/security.md has the command of a long one."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import tiny_model
from native_build import made_of

FUZZ = Path(__file__).parent
TARGETS = ["fuzz_manifest", "fuzz_program"]  # fuzz_weights: as weights_driver


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


def clang_with_libfuzzer(folder: Path) -> str | None:
    """The first that can link a fuzzer: the library is a package of its own."""
    (folder / "empty.cpp").write_text('extern "C" int LLVMFuzzerTestOneInput(const char*, long) { return 0; }')
    for clang in ("clang++", *(f"clang++-{version}" for version in range(22, 12, -1))):
        if shutil.which(clang) is None:
            continue
        command = [clang, "-fsanitize=address,fuzzer", folder / "empty.cpp", "-o", folder / "empty"]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return clang
    return None


@pytest.fixture(scope="module")
def fuzzers(tmp_path_factory, kept) -> Path:
    clang = clang_with_libfuzzer(tmp_path_factory.mktemp("fuzz")) if sys.platform.startswith("linux") else None
    if clang is None:
        pytest.skip("needs clang++ with libFuzzer (Debian: clang and libclang-rt-dev of the same version)")
    folders = ("export/sampler", "export/bindings", "export/kernels", "export/cmake", "tests/fuzz")
    return kept("fuzzers", made_of(clang, *folders), lambda folder: build_fuzzers(clang, folder))


def build_fuzzers(clang: str, folder: Path) -> None:
    """Leaves the programs in the folder, and nothing else."""
    with tempfile.TemporaryDirectory() as tree:
        options = [f"-DCMAKE_CXX_COMPILER={clang}", "-DCMAKE_CXX_FLAGS=-O1"]
        options += ["-G", "Ninja", f"-DCMAKE_RUNTIME_OUTPUT_DIRECTORY={folder}"]
        for command in (
            ["cmake", "-S", FUZZ, "-B", tree, *options],
            ["cmake", "--build", tree, "--parallel", "2", "--target", *TARGETS],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_fuzzer(fuzzers, corpora, target, tmp_path):
    """No crash, nothing that the sanitizers see, no input over 2 s or 256 MB."""
    limits = [
        "-timeout=2",
        "-rss_limit_mb=256",
        "-malloc_limit_mb=128",
        "-max_len=65536",
        f"-artifact_prefix={tmp_path}/",
    ]
    command = [fuzzers / target, "-runs=20000", "-max_total_time=20", "-seed=1", *limits, corpora / target]
    # By way of a shell: what libFuzzer takes for its memory includes the most that its parent, pytest, has had.
    command = ["sh", "-c", '"$@"; exit $?', "sh", *command]
    # AddressSanitizer keeps what is freed: 256 MB by itself, and more pages that it lies in.
    environment = os.environ | {"ASAN_OPTIONS": "quarantine_size_mb=16"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_packed_weights(sanitized_drivers):
    """fuzz_weights on random bytes, by a program without libFuzzer that is built with the kernels' other ones."""
    command = [sanitized_drivers / "weights_driver", "4000", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    checked, run = map(int, done.stdout.split())
    assert checked == 4000 and run > 400, done.stdout


def test_mutants_through_the_engine(tiny_bundle):
    """Bundles whose digests agree: each is refused or draws; no process dies, none takes more than it may."""
    command = [sys.executable, "-I", FUZZ / "engine_mutants.py", tiny_bundle, "4000", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert outcomes["slow"] == outcomes["memory"] == outcomes["DIED"] == 0, done.stdout
    assert sum(outcomes.values()) == 4000 and outcomes["drew"] > 300 and outcomes["INVALID_BUNDLE"] > 2000, outcomes
