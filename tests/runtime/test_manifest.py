# SPDX-License-Identifier: Apache-2.0
"""The typed manifest: it reads what it writes, names what is wrong, opens old bundles, and its schema is shipped."""

import json
from importlib.resources import files

import jsonschema
import msgspec
import pytest
import tiny_model

from hqdit_mobile.diffusion.process import Flow, Process, VariancePreserving
from hqdit_mobile.runtime import manifest as m
from hqdit_mobile.runtime import manifest_file
from hqdit_mobile.runtime.engine import Pipeline
from hqdit_mobile.runtime.errors import InvalidBundleError

TEXT = {"transformer.pte": b"t", "vae_decoder.pte": b"v"}


def tiny(change=lambda values: None) -> bytes:
    values = tiny_model.make_manifest(TEXT)
    change(values)
    return json.dumps(values).encode()


def test_reads_back_what_it_writes(tmp_path):
    written = manifest_file.parse_manifest(tiny())
    written.memory.tiled_peak_bytes = 7
    manifest_file.write_manifest(tmp_path, written)
    for name, data in TEXT.items():
        (tmp_path / name).write_bytes(data)
    assert manifest_file.read_manifest(tmp_path) == written
    assert manifest_file.describe_file(tmp_path, "transformer.pte") == written.files["transformer"]


def test_schema_1_keeps_the_configuration_beside_the_results():
    about = {"precision": "w4a4", "group": 16, "bits_per_weight": 4.5, "a4_share": 0.9, "float32_bytes": 100}
    read = manifest_file.parse_manifest(tiny(lambda values: values.update(schema_version=1, quantization=about)))
    assert read.quantization == m.Quantization(
        bits_per_weight=4.5, a4_share=0.9, float32_bytes=100, config={"precision": "w4a4", "group": 16}
    )
    assert read.quantization.precision == "w4a4"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("model"), "model"),
        (lambda v: v["model"].update(num_classes=0), r"\$\.model\.num_classes"),
        (lambda v: v["model"].update(latent_shape=[4, 8]), r"\$\.model\.latent_shape"),
        (lambda v: v["files"]["transformer"].update(sha256="A" * 64), r"\$\.files"),
        (lambda v: v["files"].pop("vae_decoder"), "files has no vae_decoder"),
        (lambda v: v["labels"].pop(), "labels for"),
        (lambda v: v["defaults"].update(guidance_interval=[0.0, 1.5]), r"\$\.defaults\.guidance_interval"),
        (lambda v: v.update(schema_version=3), "schema_version is 3"),
        (lambda v: v.update(schema_version="1"), "schema_version is '1'"),
        (lambda v: v["scheduler"].update(prediction_type="v_prediction"), r"process\.prediction"),
        (lambda v: v["scheduler"].update(beta_start=0.5), r"process\.betas must satisfy"),
        (lambda v: v.pop("guidance"), r"process\.path"),
    ],
)
def test_names_the_member_at_fault(change, message):
    with pytest.raises(m.BundleError, match=message):
        manifest_file.parse_manifest(tiny(change))


FLOW = Process(Flow(time_at_noise=0.0, time_at_data=1.0), "velocity", 3, spacing="trailing", sampler="heun")


def of_schema_2(change=lambda process: None) -> bytes:
    values = tiny_model.make_manifest(TEXT, FLOW)
    change(values["process"])
    return json.dumps(values).encode()


def test_the_process_of_both_schemas():
    assert manifest_file.parse_manifest(of_schema_2()).process.build() == FLOW
    assert manifest_file.parse_manifest(tiny()).process.build() == Process(sampler="dpm-solver++")
    table = Process(VariancePreserving.cosine(50), "v_prediction", clip_sample_range=2.0)
    assert m.ProcessSection.of(table).build() == table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["path"].update(kind="vp"), r"\$\.process\.path"),
        (lambda p: p["path"].update(interpolation="cubic"), "process.interpolation 'cubic'"),
        (lambda p: p.update(prediction="epsilon"), "process.prediction 'epsilon' says nothing at level 1"),
        (lambda p: p["multistep"].update(solver_order=3), r"\$\.process\.multistep\.solver_order"),
        (lambda p: p.pop("guided_channels"), "guided_channels"),
    ],
)
def test_names_what_is_wrong_with_a_process(change, message):
    with pytest.raises(m.BundleError, match=message):
        manifest_file.parse_manifest(of_schema_2(change))


CONDITIONS = [
    (lambda c: c.append({"name": "text", "type": "float32", "shape": [77, 768]}), "label, text"),
    (lambda c: c[0].update(name="style"), "style"),
    (lambda c: c[0].update(type="float32"), "one int64"),
    (lambda c: c[0].update(type="float16"), "type"),
    (lambda c: c[0].update(shape=[2]), "one int64"),
    (lambda c: c[0].update(null=6), "null_label"),
    (lambda c: c[0].pop("null"), "null_label"),
]


@pytest.mark.parametrize(("change", "message"), CONDITIONS)
def test_other_conditions_than_the_label_are_refused(change, message, tmp_path):
    """By the engine, too; drawing without them would be drawing something else."""
    values = tiny_model.make_manifest(TEXT, FLOW)
    assert manifest_file.parse_manifest(json.dumps(values).encode()).conditions[0].null == tiny_model.CLASSES
    change(values["conditions"])
    with pytest.raises(m.BundleError, match=message):
        manifest_file.parse_manifest(json.dumps(values).encode())
    with pytest.raises(InvalidBundleError, match="conditions"):
        Pipeline(tiny_model.write_bundle(tmp_path, TEXT, values))


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b'{"schema_version": 1}', b"\xff\xfe", b"[" * 100_000])
def test_no_manifest_at_all(text):
    with pytest.raises(m.BundleError):
        manifest_file.parse_manifest(text)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(m.BundleError, match=r"has no manifest\.json"):
        manifest_file.read_manifest(tmp_path)
    (tmp_path / m.MANIFEST).write_bytes(b" " * (manifest_file.MAX_BYTES + 1))
    with pytest.raises(m.BundleError, match="more than 2 MB"):
        manifest_file.read_manifest(tmp_path)
    (tmp_path / m.MANIFEST).unlink()
    (tmp_path / m.MANIFEST).symlink_to(tmp_path / m.MANIFEST)
    with pytest.raises(m.BundleError):
        manifest_file.read_manifest(tmp_path)


def test_the_shipped_schema_is_that_of_the_types():
    shipped = json.loads(files("hqdit_mobile.runtime").joinpath("manifest.schema.json").read_text())
    assert shipped == m.json_schema(), "run: python -m hqdit_mobile.runtime.manifest"


def test_the_schema_accepts_what_is_written():
    """An independent validator and the types agree on a whole manifest and on one with a member too few."""
    schema = m.json_schema()
    written = msgspec.to_builtins(manifest_file.parse_manifest(tiny()))
    jsonschema.validate(json.loads(json.dumps(written)), schema)
    del written["memory"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(json.dumps(written)), schema)
