# SPDX-License-Identifier: Apache-2.0
"""The engine's C side: sanitizers, exported symbols, and the C API called as a C program calls it."""

import ctypes
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from native_build import made_of, need, need_compiler

from hqdit_mobile.diffusion.process import Flow, Process, VariancePreserving
from hqdit_mobile.ops.native import library_path
from hqdit_mobile.runtime import abi as abi

ROOT = Path(__file__).resolve().parents[2]
SAMPLER = ROOT / "export" / "sampler"
PORTABLE = [
    "bundle_files",
    "ed25519",
    "field25519",
    "files",
    "decoder_tiles",
    "json",
    "json_fields",
    "json_text",
    "manifest",
    "map_store",
    "noise_schedule",
    "picture",
    "portable_math",
    "process",
    "process_fields",
    "rng",
    "scheduler",
]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]


@pytest.fixture(scope="module")
def compiler() -> str:
    found = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if found is None:
        pytest.skip("no C++ compiler (c++, g++ or clang++) on the path")
    return found


@pytest.fixture(scope="module")
def robust(compiler, kept) -> Path:
    folders = ("export/sampler", "export/kernels/include", "tests/native")
    text = made_of(compiler, *folders, "tests/runtime/test_engine_native.py")
    return kept("robust", text, lambda folder: build_robust(compiler, folder / "robust")) / "robust"


def build_robust(compiler: str, program: Path) -> None:
    sources = [SAMPLER / "src" / f"{name}.cpp" for name in [*PORTABLE, "sha256", "sha512", "signature"]]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-D_GLIBCXX_ASSERTIONS"]
    includes = [f"-I{folder}" for folder in (SAMPLER / "include", SAMPLER / "src", ROOT / "export/kernels/include")]
    flags = ["-std=c++17", "-O1", "-g1", *WARNINGS, *sanitizers, *includes]
    command = [compiler, *flags, *map(str, sources), str(ROOT / "tests" / "native" / "sampler_robust.cpp")]
    subprocess.run([*command, "-o", str(program)], check=True)


PROCESSES = [
    None,
    Process(Flow("gvp", shift=3.0), "velocity", 3, sampler="heun"),
    Process(VariancePreserving.cosine(20), "v_prediction", clip_sample_range=1.0, sampler="ddim"),
]


@pytest.mark.parametrize(("seed", "process"), [*enumerate(PROCESSES)], ids=["schema 1", "flow", "table"])
def test_manifest_reader_under_sanitizers(robust, tmp_path, seed, process):
    files = {"transformer.pte": b"x", "vae_decoder.pte": b"x"}
    path = tmp_path / "manifest.json"
    manifest = tiny_model.make_manifest(files, process) | {"decoder": {"tiles": tiny_model.decoder_tiles()}}
    manifest["defaults"]["steps"] = 10
    path.write_text(json.dumps(manifest))
    result = subprocess.run([robust, path, str(seed), "5000"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert int(result.stdout) > 100  # some changes keep it valid: the loop got beyond the parser


@pytest.mark.native
@pytest.mark.slow
def test_five_threads_under_thread_sanitizer(made_once, tiny_bundle):
    """They draw, cancel, call from inside, close and open (tests/threads). ExecuTorch and XNNPACK are not compiled for
    the sanitizer, which sees their locks and their memory, but not how they count references."""
    need_compiler()
    need("setarch")
    executorch = Path(importlib.util.find_spec("executorch").submodule_search_locations[0])
    settings = {"HQDIT_OPS": library_path("hqdit_ops"), "CMAKE_PREFIX_PATH": executorch / "share" / "cmake"}
    build = made_once("threads", lambda folder: build_threads(folder, settings))
    environment = os.environ | {"TSAN_OPTIONS": "halt_on_error=1"}
    # The sanitizer's memory map does not go together with addresses that Linux has drawn at random.
    command = ["setarch", "-R", build / "sampler_threads", tiny_bundle, "100"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0 and "ThreadSanitizer" not in done.stderr, done.stderr[-4000:]
    drawn, cancelled, busy, reopened = map(int, done.stdout.split())
    assert (drawn, cancelled, reopened) == (200, 200, 25) and busy > 0


def build_threads(folder: Path, settings: dict[str, object]) -> None:
    options = [f"-D{name}={value}" for name, value in settings.items()]
    configure = ["cmake", "-S", ROOT / "tests/threads", "-B", folder, "-G", "Ninja", "-DCMAKE_CXX_FLAGS=-O1", *options]
    for command in (configure, ["cmake", "--build", folder, "--parallel", "2"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_api_is_exported():
    if shutil.which("nm") is None or sys.platform == "darwin":
        pytest.skip("needs nm of GNU binutils")
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", str(library_path("hqdit"))], check=True, capture_output=True, text=True
    ).stdout.split("\n")
    names = {line.split()[-1] for line in symbols if line}
    header = "".join((SAMPLER / "include" / name).read_text() for name in ("hqdit.h", "hqdit_parts.h"))
    assert all(name.startswith("hqdit_") and f"{name}(" in header for name in names), names
    assert set(abi._SIGNATURES) <= names


@pytest.mark.native
def test_headers_are_c(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler (cc, gcc or clang) on the path")
    sizes = ["memory", "open_options", "info", "progress", "request", "result"]
    lines = ['#include "hqdit_parts.h"', "#include <stdio.h>", "int main(void) {"]
    lines += [f'printf("%zu\\n", sizeof(hqdit_{name}));' for name in sizes]
    (tmp_path / "sizes.c").write_text("\n".join([*lines, "return 0; }"]))
    command = [compiler, "-std=c99", *WARNINGS, f"-I{SAMPLER / 'include'}", "sizes.c", "-o", "sizes"]
    subprocess.run(command, check=True, cwd=tmp_path)
    printed = subprocess.run([tmp_path / "sizes"], check=True, capture_output=True, text=True).stdout.split()
    structs = [abi.Memory, abi.OpenOptions, abi.Info, abi.Progress, abi.Request, abi.Result]
    assert [int(size) for size in printed] == [ctypes.sizeof(struct) for struct in structs]


@pytest.fixture
def opened(tiny_bundle):
    library, handle = abi.library(), ctypes.c_void_p()
    assert library.hqdit_open(os.fsencode(tiny_bundle), None, ctypes.byref(handle)) == 0
    yield library, handle
    assert library.hqdit_close(handle) == 0


def make_request(library, handle, seeds):
    request = abi.Request()
    assert library.hqdit_request_init(handle, request, ctypes.sizeof(request)) == 0
    request.label, request.seed_count = 0, len(seeds)
    request.seeds = (ctypes.c_uint64 * len(seeds))(*seeds)
    request.steps = 3
    return request


def make_result(library, images: np.ndarray):
    result = abi.Result()
    library.hqdit_result_init(result, ctypes.sizeof(result))
    result.rgb, result.rgb_bytes = images.ctypes.data, images.nbytes
    return result


def test_null_arguments(opened):
    library, handle = opened
    memory, label = abi.Memory(struct_size=ctypes.sizeof(abi.Memory)), ctypes.c_int32()
    request, result = make_request(library, handle, [1]), make_result(library, np.zeros(768, np.uint8))
    other = ctypes.c_void_p()
    calls = [
        library.hqdit_estimate(None, memory),
        library.hqdit_estimate(b"/", None),
        library.hqdit_open(None, None, ctypes.byref(other)),
        library.hqdit_open(b"/", None, None),
        library.hqdit_get_info(None, abi.Info()),
        library.hqdit_get_info(handle, None),
        library.hqdit_find_label(handle, None, ctypes.byref(label)),
        library.hqdit_request_init(handle, None, 8),
        library.hqdit_generate(None, request, result),
        library.hqdit_generate(handle, None, result),
        library.hqdit_generate(handle, request, None),
        library.hqdit_denoise(handle, None, 0.0, 0, False, None, 0),
        library.hqdit_decode(handle, None, None, 0),
    ]
    assert calls == [3] * len(calls)
    assert library.hqdit_close(None) == 0
    assert library.hqdit_label_name(None, 0) is None
    assert library.hqdit_label_name(handle, -1) is None and library.hqdit_label_name(handle, 5) is None
    library.hqdit_open_options_init(None, 8)
    library.hqdit_result_init(None, 8)


def test_buffers_that_are_too_small(opened):
    library, handle = opened
    request, result = make_request(library, handle, [1, 2]), make_result(library, np.zeros(768 * 2 - 1, np.uint8))
    assert library.hqdit_generate(handle, request, result) == 3
    assert b"result.rgb must hold 1536 bytes" in library.hqdit_last_error()
    result = make_result(library, np.zeros(768 * 2, np.uint8))
    result.latents, result.latents_count = result.rgb, 511
    assert library.hqdit_generate(handle, request, result) == 3
    assert b"result.latents must hold 512 floats" in library.hqdit_last_error()


@pytest.mark.parametrize("struct_size", [0, 7, 100_000])
def test_struct_sizes_that_cannot_be(opened, struct_size):
    library, handle = opened
    request, result = make_request(library, handle, [1]), make_result(library, np.zeros(768, np.uint8))
    request.struct_size = struct_size
    assert library.hqdit_generate(handle, request, result) == 3
    assert b"request.struct_size is not set" in library.hqdit_last_error()


def test_callers_with_an_older_header(opened):
    """A struct that ends early: the missing fields take their defaults, and nothing beyond it is written."""
    library, handle = opened
    images = [np.zeros(768, np.uint8) for _ in range(2)]
    request = make_request(library, handle, [5])
    assert library.hqdit_generate(handle, request, make_result(library, images[0])) == 0
    request.struct_size = abi.Request.eta.offset
    request.eta, request.guidance_scale, request.preview_interval = 9.0, float("nan"), -1
    result = make_result(library, images[1])
    result.struct_size = abi.Result.evaluations.offset
    result.evaluations, result.total_ms = -7, -7.0
    assert library.hqdit_generate(handle, request, result) == 0
    assert np.array_equal(*images)
    assert (result.evaluations, result.total_ms) == (-7, -7.0)
    info = abi.Info(struct_size=abi.Info.num_classes.offset, num_classes=-7)
    assert library.hqdit_get_info(handle, info) == 0
    assert info.image_width == 16 and info.num_classes == -7


def test_cancelled_batch_keeps_its_finished_pictures(opened):
    library, handle = opened
    alone, batch = np.zeros((1, 768), np.uint8), np.zeros((2, 768), np.uint8)
    assert library.hqdit_generate(handle, make_request(library, handle, [5]), make_result(library, alone)) == 0
    request = make_request(library, handle, [5, 6])
    request.progress = abi.ProgressFunction(lambda progress, _: progress.contents.image_index == 0)
    result = make_result(library, batch)
    assert library.hqdit_generate(handle, request, result) == 1
    assert np.array_equal(batch[0], alone[0]) and not batch[1].any()
    assert result.evaluations == 2 * (3 + 1)


def test_status_names():
    library = abi.library()
    names = [library.hqdit_status_name(code) for code in range(12)]
    assert names[0] == b"HQDIT_OK" and names[11] == b"HQDIT_INVALID_SIGNATURE" and len(set(names)) == 12
    assert library.hqdit_status_name(12) == library.hqdit_status_name(-1) == b"unknown status"
