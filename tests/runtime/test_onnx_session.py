# SPDX-License-Identifier: Apache-2.0
"""What an ONNX pipeline runs is what it verified: other files that take the names in between change nothing."""

import os
import shutil

import numpy as np
import pytest
import tiny_model

from hqdit_mobile.runtime import onnx_session
from hqdit_mobile.runtime.errors import InvalidBundleError
from hqdit_mobile.runtime.onnx_pipeline import OnnxPipeline

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
tiny_onnx = pytest.importorskip("tiny_onnx")
EXTERNAL = [None, tiny_onnx.WEIGHTS]


def factor(pipeline) -> float:
    """That of the transformer which it runs."""
    noise = pipeline.denoise(np.ones(pipeline.latent_shape, np.float32), 1.0, 0, guided=False)
    (value,) = np.unique(noise)
    return float(value)


@pytest.fixture
def swap_while_opening(monkeypatch):
    """swap_while_opening(bundle, other): the files of ``other`` take the names of those of ``bundle`` right before
    ONNX Runtime opens anything, and go back afterwards."""
    real = onnxruntime.InferenceSession

    def prepare(bundle, other):
        def open_swapped(*arguments, **settings):
            aside = bundle.with_name("aside")
            os.replace(bundle, aside)
            shutil.copytree(other, bundle)
            try:
                return real(*arguments, **settings)
            finally:
                shutil.rmtree(bundle)
                os.replace(aside, bundle)

        monkeypatch.setattr(onnxruntime, "InferenceSession", open_swapped)

    return prepare


@pytest.mark.parametrize("external", EXTERNAL)
def test_swapped_files_are_not_run(tmp_path, swap_while_opening, external):
    bundle = tiny_onnx.write_bundle(tmp_path / "bundle", 2.0, external)
    swap_while_opening(bundle, tiny_onnx.write_bundle(tmp_path / "other", 3.0, external))
    with OnnxPipeline(bundle, portable=True) as pipeline:
        assert factor(pipeline) == 2
    with OnnxPipeline(bundle, portable=True, verify_sha256=False) as pipeline:
        assert factor(pipeline) == 3, "the files were not swapped"


@pytest.mark.parametrize("external", EXTERNAL)
def test_a_system_that_does_not_name_descriptors(tmp_path, swap_while_opening, monkeypatch, external):
    monkeypatch.setattr(onnx_session, "DESCRIPTORS", (tmp_path / "none",))
    bundle = tiny_onnx.write_bundle(tmp_path / "bundle", 2.0, external)
    swap_while_opening(bundle, tiny_onnx.write_bundle(tmp_path / "other", 3.0, external))
    with OnnxPipeline(bundle, portable=True) as pipeline:
        assert factor(pipeline) == 2


@pytest.mark.parametrize("changed", [tiny_onnx.TRANSFORMER, tiny_onnx.DECODER, tiny_onnx.WEIGHTS])
def test_each_file_is_verified(tmp_path, changed):
    bundle = tiny_onnx.write_bundle(tmp_path / "bundle", external=tiny_onnx.WEIGHTS)
    whole = (bundle / changed).read_bytes()
    (bundle / changed).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InvalidBundleError, match=f"{changed} has another sha256"):
        OnnxPipeline(bundle, portable=True)


def test_nothing_stays_open(tmp_path):
    bundle = tiny_onnx.write_bundle(tmp_path / "bundle", 2.0, tiny_onnx.WEIGHTS)
    OnnxPipeline(bundle, portable=True).close()  # what ONNX Runtime opens once for the process
    before = os.listdir("/dev/fd")
    with OnnxPipeline(bundle, portable=True):
        assert os.listdir("/dev/fd") == before


def damaged(tmp_path, change) -> None:
    """Opens a bundle whose manifest has the right digests of a transformer that ``change`` has seen."""
    files = tiny_onnx.make_files(tmp_path / "bundle", 2.0, tiny_onnx.WEIGHTS)
    model = onnx.load_model_from_string(files[tiny_onnx.TRANSFORMER])
    (factors,) = (tensor for tensor in model.graph.initializer if tensor.name == "factors")
    change(factors, {entry.key: entry for entry in factors.external_data}, files)
    files[tiny_onnx.TRANSFORMER] = model.SerializeToString()
    tiny_model.write_bundle(tmp_path / "bundle", files, tiny_onnx.make_manifest(files))
    OnnxPipeline(tmp_path / "bundle", portable=True).close()


def test_weights_that_the_manifest_does_not_have(tmp_path):
    """Nobody has verified them."""
    with pytest.raises(InvalidBundleError, match=r"cannot load transformer\.pte"):
        damaged(tmp_path, lambda factors, told, files: files.pop(tiny_onnx.WEIGHTS))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda factors, told: setattr(told["location"], "value", "../other"), "is in '../other'"),
        (lambda factors, told: setattr(told["offset"], "value", "4"), "buffer is smaller"),
        (lambda factors, told: setattr(told["offset"], "value", "-4"), "offset must be non-negative"),
        (lambda factors, told: setattr(told["offset"], "value", "x"), "invalid literal"),
        (lambda factors, told: factors.dims.__setitem__(1, 1 << 40), "buffer is smaller"),
        (lambda factors, told: factors.dims.__setitem__(1, 2), "cannot load"),
        (lambda factors, told: setattr(factors, "data_type", onnx.TensorProto.BFLOAT16), "is of type bfloat16"),
        (lambda factors, told: setattr(factors, "data_type", onnx.TensorProto.INT32), "cannot load"),
    ],
)
def test_weights_that_are_not_where_they_should_be(tmp_path, change, words):
    with pytest.raises(InvalidBundleError, match=words):
        damaged(tmp_path, lambda factors, told, files: change(factors, told))
