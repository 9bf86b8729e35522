# SPDX-License-Identifier: Apache-2.0
"""libhqdit_ort: our kernels as ONNX Runtime operators."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_cases import layer_model, random_layer, run, session

from hqdit_mobile.ops.fp4_linear import fp4_linear_reference
from hqdit_mobile.ops.native import library_path

SOURCES = Path(__file__).parents[2] / "export"
OLDEST = "1.17.3"


@st.composite
def layers(draw):
    rotation = draw(st.sampled_from([1, 2, 16, 32, 12]))
    k = rotation * draw(st.integers(1, 5)) if rotation > 1 else draw(st.integers(1, 130))
    activation = draw(st.sampled_from(["int8", "fp4", "e2m1"]))
    group = draw(st.sampled_from([16, 32, 1 << 20]))
    return draw(st.integers(1, 70)), k, group, rotation, activation, draw(st.sampled_from([16, 48, 1 << 20]))


@settings(max_examples=12)  # each builds a session
@given(layers(), st.integers(1, 40), st.integers(0, 2**30), st.booleans())
def test_bits_of_the_definition(sizes, rows, seed, gelu):
    n, k, group, rotation, activation, activation_group = sizes
    layer = random_layer(n, k, group, rotation, activation, activation_group, seed=seed)
    x = torch.randn(rows, k, generator=torch.Generator().manual_seed(seed))
    x[0] *= 0
    got = run(layer_model(layer, x.shape, gelu), True, threads=2, x=x)
    expected = fp4_linear_reference(*layer.operands(x))
    assert torch.equal(got, torch.ops.hqdit.gelu_tanh(expected) if gelu else expected)


def test_broken_tokens_are_nan():
    layer = random_layer(24, 64)
    x = torch.randn(3, 64)
    x[0, 5], x[1, 6] = float("nan"), float("inf")
    y = run(layer_model(layer, x.shape), True, x=x)
    assert torch.isnan(y[:2]).all() and torch.isfinite(y[2]).all()


@pytest.mark.parametrize("gelu", [False, True])
def test_kernel_goes_before_the_function_body(tmp_path, gelu):
    ours = "FP4LinearGelu" if gelu else "FP4Linear"
    model = layer_model(random_layer(48, 64), torch.Size((2, 64)), gelu)
    for native, kind in ((True, ours), (False, "MatMulIntegerToFloat")):
        path = tmp_path / f"{native}.onnx"
        session(model, native, optimized=str(path))
        nodes = {node.op_type for node in onnx.load(path).graph.node}
        assert nodes & {"FP4Linear", "FP4LinearGelu", "GeluTanh", "MatMulIntegerToFloat"} == {kind}


def test_two_sessions_in_one_process():
    layer = random_layer(32, 64)
    x = torch.randn(5, 64)
    model = layer_model(layer, x.shape)
    first, second = session(model, True), session(model, True)
    outputs = [s.run(None, {"x": x.numpy()})[0] for s in (first, second, first)]
    assert np.array_equal(outputs[0], outputs[1]) and np.array_equal(outputs[0], outputs[2])


def broken(change) -> onnx.ModelProto:
    model = layer_model(random_layer(32, 64), torch.Size((2, 64)))
    change(model.graph)
    return model


def set_attribute(name, value):
    def change(graph):
        next(a for a in graph.node[0].attribute if a.name == name).i = value

    return change


def bad_table(graph):
    tables = next(t for t in graph.initializer if t.name.endswith("tables"))
    tables.raw_data = bytes([29]) + tables.raw_data[1:]


def short_codes(graph):
    codes = next(t for t in graph.initializer if t.name.endswith("codes"))
    codes.raw_data = codes.raw_data[: len(codes.raw_data) // 2]
    codes.dims[0] //= 2
    # ONNX Runtime would complain about the shape that the graph gives.
    del graph.value_info[:]


def codes_as_input(graph):
    codes = next(t for t in graph.initializer if t.name.endswith("codes"))
    graph.input.append(onnx.helper.make_tensor_value_info(codes.name, codes.data_type, codes.dims))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (set_attribute("activation", 3), "'activation' must be 0, 1 or 2"),
        (set_attribute("rotation", 48), "rotation"),
        (set_attribute("group", 20), "group"),
        (bad_table, "table"),
        (short_codes, "'codes' has"),
        (codes_as_input, "'codes' must be an initializer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_errors_name_node_and_repair(change, text):
    with pytest.raises(Exception, match="blocks.0.mlp.fc1") as caught:
        session(broken(change), True).run(None, {"x": np.zeros((2, 64), np.float32)})
    assert text in str(caught.value) and "export the model again" in str(caught.value)


def test_one_exported_symbol():
    nm = shutil.which("nm")
    if nm is None or sys.platform == "darwin":
        pytest.skip("needs GNU nm")
    listing = subprocess.run([nm, "-D", "--defined-only", library_path("hqdit_ort")], capture_output=True, text=True)
    assert [line.split()[-1] for line in listing.stdout.splitlines()] == ["RegisterCustomOps"]


RUN_OLD = """
import sys, numpy, onnxruntime
model, library, inputs, outputs = sys.argv[1:]
x = numpy.load(inputs)
results = []
for native in (False, True):
    options = onnxruntime.SessionOptions()
    if native:
        options.register_custom_ops_library(library)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    results.append(session.run(None, {"x": x})[0])
numpy.save(outputs, numpy.stack(results))
print(onnxruntime.__version__)
"""


@pytest.fixture(scope="module")
def oldest_runtime(kept) -> Path:
    """A folder with the oldest ONNX Runtime that we state; it needs NumPy 1."""
    if sys.version_info >= (3, 13):
        pytest.skip(f"ONNX Runtime {OLDEST} has no wheel for Python 3.13")
    packages = [f"onnxruntime=={OLDEST}", "numpy<2"]

    def install(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", folder, *packages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"ONNX Runtime {OLDEST} could not be installed: {done.stderr.strip().splitlines()[-1]}")

    return kept("oldest-onnxruntime", f"{packages} {sys.version} {platform.platform()}", install)


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "gelu"), [("int8", False), ("fp4", False), ("int8", True)])
def test_oldest_runtime(oldest_runtime, tmp_path, activation, gelu):
    assert tuple(map(int, onnxruntime.__version__.split(".")[:2])) > (1, 17), "the newest is tested by all others"
    layer = random_layer(48, 96, rotation=32, activation=activation)
    x = torch.randn(9, 96)
    onnx.save(layer_model(layer, x.shape, gelu), tmp_path / "layer.onnx")
    np.save(tmp_path / "x.npy", x.numpy())
    arguments = [tmp_path / "layer.onnx", library_path("hqdit_ort"), tmp_path / "x.npy", tmp_path / "y.npy"]
    environment = {**os.environ, "PYTHONPATH": str(oldest_runtime)}
    done = subprocess.run(
        [sys.executable, "-c", RUN_OLD, *map(str, arguments)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == OLDEST
    portable, native = torch.from_numpy(np.load(tmp_path / "y.npy"))
    expected = fp4_linear_reference(*layer.operands(x))
    expected = torch.ops.hqdit.gelu_tanh(expected) if gelu else expected
    assert torch.equal(native, expected)
    torch.testing.assert_close(portable, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


FETCH = SOURCES / "cmake" / "onnxruntime_header.cmake"


def fetch_header(folder) -> subprocess.CompletedProcess:
    """As the build does with HQDIT_FETCH_ONNXRUNTIME_HEADER."""
    command = ["cmake", f"-DFOLDER={folder}", "-P", FETCH]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@pytest.fixture(scope="module")
def official_headers(kept) -> Path:
    """The folder of onnxruntime_c_api.h: ONNXRUNTIME_INCLUDE_DIR, or out of the Android archive."""
    if given := os.environ.get("ONNXRUNTIME_INCLUDE_DIR"):
        return Path(given)

    def fetch(folder: Path) -> None:
        done = fetch_header(folder)
        if done.returncode:
            # Only the registry may be at fault: what it delivers must be the file that is expected.
            assert "Maven cannot get" in done.stderr or "no mvn on the PATH" in done.stderr, done.stderr
            pytest.skip("no official header: set ONNXRUNTIME_INCLUDE_DIR, or let Maven reach the Android archive")

    return kept("onnxruntime-header", FETCH.read_text(), fetch)


@pytest.mark.slow
def test_our_abi_declarations_equal_the_official_header(official_headers, tmp_path):
    check = Path(__file__).parents[1] / "native" / "ort_abi_check.cpp"
    compiler = shutil.which("c++")
    assert compiler, "the package could not have been built"
    command = [compiler, "-std=c++17", "-fsyntax-only", "-I", official_headers, "-I", SOURCES / "bindings", check]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_another_header_is_refused(tmp_path):
    (tmp_path / "onnxruntime_c_api.h").write_text("#define ORT_API_VERSION 22\n")
    done = fetch_header(tmp_path)
    assert done.returncode != 0 and "has the sha256" in done.stderr and "ONNXRUNTIME_INCLUDE_DIR" in done.stderr
