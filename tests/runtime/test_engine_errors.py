# SPDX-License-Identifier: Apache-2.0
"""Bad bundles and bad requests: a typed error that names the place, and never a crash."""

import copy
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tiny_model

from hqdit_mobile.runtime.engine import (
    EngineError,
    InvalidArgumentError,
    InvalidBundleError,
    MemoryLimitError,
    NotFoundError,
    Pipeline,
    estimate,
)


@pytest.fixture(scope="module")
def pipeline(tiny_bundle):
    with Pipeline(tiny_bundle) as opened:
        yield opened


@pytest.fixture
def manifest(tiny_files) -> dict:
    return copy.deepcopy(tiny_model.make_manifest(tiny_files))


def refuse(folder, error, message, **settings):
    with pytest.raises(error, match=message):
        Pipeline(folder, **settings)


def test_missing_bundle(tmp_path):
    refuse(tmp_path / "nowhere", NotFoundError, r"nowhere.manifest\.json: No such file")
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", NotFoundError, r"manifest\.json: No such file")
    with pytest.raises(NotFoundError):
        estimate(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: unexpected end"),
        ('{\n  "name": tiny\n}', "line 2, column 11: not a JSON value"),
        ('{"name": "a", "name": "b"}', "occurs twice"),
        ('{"name": "a",}', "expected a key"),
        ('{"name": "\\ud800"}', "lone surrogate"),
        ('{"n": 01}', "leading zero"),
        ('{"n": 1e999}', "out of range"),
        ('{"n": NaN}', "not a JSON value"),
        ("[1, 2] 3", "after the end"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "must be a JSON object"),
        ("{}", "schema_version: is missing"),
    ],
)
def test_bad_json(tmp_path, text, message):
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    refuse(tmp_path, InvalidBundleError, rf"manifest\.json: .*{message}")


def test_bad_utf8(tmp_path):
    for data in (b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe2\x82"', b'"a\x00b"'):
        (tmp_path / "manifest.json").write_bytes(data)
        refuse(tmp_path, InvalidBundleError, "not valid UTF-8|control character")


CHANGES = [
    (("schema_version",), 3, "schema_version: is 3, this engine reads versions 1 to 2"),
    (("name",), 3, "name: must be a text"),
    (("runtime",), "tflite", "runtime: .*tflite.* is not built into this engine"),
    (("model", "latent_shape"), [4, 8], "model.latent_shape: must hold 3 numbers"),
    (("model", "latent_shape"), [4, 8, 8.5], "model.latent_shape: must hold whole numbers"),
    (("model", "latent_shape"), [4, 16, 16], 'method "denoise_guided": input 0 is float32 \\[1, 4, 8, 8\\]'),
    (("model", "image_shape"), [1, 16, 16], "model.image_shape: must have 3 channels"),
    (("model", "image_shape"), [3, 32, 32], 'method "decode": the output is float32 \\[1, 3, 16, 16\\]'),
    (("model", "num_classes"), 0, "model.num_classes: must be in 1 .. "),
    (("model", "num_classes"), 6, "labels: must hold 6 texts, not 5"),
    (("model", "vae_scaling_factor"), 0, "model.vae_scaling_factor: must be in"),
    (("files", "transformer", "path"), "../transformer.pte", "not a relative path inside the bundle"),
    (("files", "transformer", "path"), "a/../../b.pte", "not a relative path inside the bundle"),
    (("files", "transformer", "path"), "/etc/passwd", "not a relative path inside the bundle"),
    (("files", "transformer", "path"), "C:\\a.pte", "not a relative path inside the bundle"),
    (("files", "transformer", "path"), "", "not a relative path inside the bundle"),
    (("files", "transformer", "path"), ".", "not a regular file"),
    (("files", "transformer", "bytes"), 17, "bytes, the manifest says 17"),
    (("files", "vae_decoder", "sha256"), "0" * 64, "the manifest says 0000"),
    (("files", "vae_decoder", "sha256"), "xyz", "files.vae_decoder.sha256: must be 64"),
    (("methods", "guided"), "forward", 'method "forward" does not exist'),
    (("methods", "guided"), "denoise", r'method "denoise": the output is float32 \[1, 4, 8, 8\]'),
    (("scheduler", "prediction_type"), "v_prediction", "scheduler.prediction_type: .*it knows .epsilon"),
    (("scheduler", "timestep_spacing"), "even", "scheduler.timestep_spacing: "),
    (("scheduler", "beta_start"), 0.5, "scheduler: betas must satisfy"),
    (("scheduler", "set_alpha_to_one"), 1, "scheduler.set_alpha_to_one: must be true or false"),
    (("defaults", "scheduler"), "euler", "defaults.scheduler: .*dpm-solver"),
    (("defaults", "steps"), 1001, "defaults.steps: must be in 1 .. 1000"),
    (("defaults", "guidance_interval"), [0.0, 1.5], "defaults.guidance_interval: must be in 0 .. 1"),
    (("defaults", "guidance_interval"), [0.8, 0.2], "defaults.guidance_interval: must have the lower number first"),
    (("guidance", "channels"), 5, "guidance.channels: must be in 1 .. 4"),
    (("preview", "matrix"), [[1, 2, 3, 4]], "preview.matrix: must hold 3 arrays"),
    (("preview", "matrix"), [[1, 2, 3, 4], [1, 2, 3], [1, 2, 3, 4]], "preview.matrix: must hold 4 numbers"),
    (("memory",), [], "memory: must be an object"),
    (("memory", "peak_bytes"), -1, "memory.peak_bytes: must be in"),
    (("memory", "tiled_peak_bytes"), 0.5, "memory.tiled_peak_bytes: must be a whole number"),
    (("labels",), ["a", "b", "c", "d", 5], "labels: must hold texts only"),
    (("decoder",), 7, "decoder: must be an object"),
]

TILE_CHANGES = [
    (("head",), None, "tiles.head: must be a text"),
    (("groups",), 3, r"tiles.maps\[0\].shape: must have a multiple of the groups"),
    (("maps",), [], "tiles.maps: must begin with a stored one"),
    (("maps", 0, "stored"), False, "tiles.maps: must begin with a stored one"),
    (("maps", 1), 5, r"tiles.maps\[1\]: must be an object"),
    (("maps", 1, "shape"), [4, 16], r"tiles.maps\[1\].shape: must hold 3 numbers"),
    (("maps", 1, "shape"), [4, 16.5, 16], r"tiles.maps\[1\].shape: must hold whole numbers"),
    (("maps", 1, "shape"), [4, 16, 24], r"tiles.sections\[0\].to: has another size"),
    (("maps", 1, "stored"), False, r"tiles.sections\[1\].source: is a map that no section before has stored"),
    (("sections",), [], "tiles.sections: the last, and it alone, must make the image"),
    (("sections", 0, "to"), [], r"tiles.sections\[1\].source: is a map that no section before has stored"),
    (("sections", 0, "to"), [2], r"tiles.sections\[0\].to: must be in 0 .. 1"),
    (("sections", 0, "source"), 1, r"tiles.sections\[0\].source: is a map that no section before has stored"),
    (("sections", 0, "add"), 1, r"tiles.sections\[0\].add: is a map that no section before has stored"),
    (("sections", 0, "add"), 0, r"tiles.sections\[0\].add: has another size"),
    (("sections", 0, "statistics"), 1, r"tiles.sections\[0\].statistics: is a map that no section before has made"),
    (("sections", 0, "tile"), [4, 6], r"tiles.sections\[0\].tile: must divide the output"),
    (("sections", 0, "tile"), [1, 8], r"tiles.sections\[0\].tile: must divide the output and be divided by the scale"),
    (("sections", 0, "tile"), [4], r"tiles.sections\[0\].tile: must hold 2 numbers"),
    (("sections", 0, "halo"), -1, r"tiles.sections\[0\].halo: must be in"),
    (("sections", 1, "scale"), 2, r"tiles.sections\[1\].source: is not the image's size when scaled"),
]


@pytest.mark.parametrize(("keys", "value", "message"), TILE_CHANGES)
def test_bad_decoder_tiles(tmp_path, tiny_files, manifest, keys, value, message):
    tiles = tiny_model.decoder_tiles()
    place = tiles
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    manifest["decoder"] = {"tiles": tiles}
    refuse(tiny_model.write_bundle(tmp_path, tiny_files, manifest), InvalidBundleError, rf"decoder\.{message}")


@pytest.mark.parametrize(("keys", "value", "message"), CHANGES)
def test_bad_manifest(tmp_path, tiny_files, manifest, keys, value, message):
    place = manifest
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    refuse(tiny_model.write_bundle(tmp_path, tiny_files, manifest), InvalidBundleError, message)


def test_every_field_is_needed(tmp_path, tiny_files, manifest):
    bundle = tiny_model.write_bundle(tmp_path, tiny_files)
    optional = {"preview", "a key of a later version"}
    for section, fields in manifest.items():
        for key in [None, *fields] if isinstance(fields, dict) else [None]:
            changed = copy.deepcopy(manifest)
            if key is None:
                del changed[section]
            else:
                del changed[section][key]
            (bundle / "manifest.json").write_text(json.dumps(changed))
            if section in optional and key is None:
                Pipeline(bundle).close()
            else:
                # Without a null label there is no guided method either.
                null = "methods.guided: needs model.null_label, which is missing"
                refuse(bundle, InvalidBundleError, null if key == "null_label" else f"{key or section}: is missing")


def test_link_out_of_the_bundle(tmp_path, tiny_files):
    bundle = tiny_model.write_bundle(tmp_path / "bundle", tiny_files)
    outside = tmp_path / "outside.pte"
    (bundle / "transformer.pte").rename(outside)
    (bundle / "transformer.pte").symlink_to(outside)
    refuse(bundle, InvalidBundleError, "leads out of the bundle")
    (bundle / "transformer.pte").unlink()
    refuse(bundle, NotFoundError, r"transformer\.pte: No such file")


def test_wrong_digest_is_the_callers_choice(tmp_path, tiny_files, manifest):
    manifest["files"]["transformer"]["sha256"] = "0" * 64
    bundle = tiny_model.write_bundle(tmp_path, tiny_files, manifest)
    refuse(bundle, InvalidBundleError, "SHA-256 is")
    with Pipeline(bundle, verify_sha256=False) as opened:
        opened.generate(0, steps=2)


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("load_mode", ["mmap", "read"])
def test_truncated_model(tmp_path, tiny_files, keep, load_mode):
    files = dict(tiny_files)
    files["transformer.pte"] = files["transformer.pte"][: max(1, int(len(files["transformer.pte"]) * keep))]
    stale = tiny_model.write_bundle(tmp_path, files, tiny_model.make_manifest(tiny_files))
    refuse(stale, InvalidBundleError, "the manifest says", load_mode=load_mode)
    bundle = tiny_model.write_bundle(tmp_path, files)  # with a manifest that believes in the rest
    with pytest.raises(EngineError, match=r"transformer\.pte"), Pipeline(bundle, load_mode=load_mode) as opened:
        opened.generate(0, steps=1)


def test_garbage_model(tmp_path, tiny_files):
    for data in (b"\0" * 4096, os.urandom(4096), b"ET12" * 1000):
        bundle = tiny_model.write_bundle(tmp_path, tiny_files | {"vae_decoder.pte": data})
        refuse(bundle, InvalidBundleError, r"vae_decoder\.pte: not a readable ExecuTorch program")


def test_operator_that_nobody_registered(tmp_path, tiny_files, tiny_programs):
    files = tiny_files | {"vae_decoder.pte": tiny_programs["foreign_decoder"]}
    bundle = tiny_model.write_bundle(tmp_path, files)
    refuse(bundle, InvalidBundleError, 'method "decode".*hqdit_test::twice.out is no operator that the exporter writes')


def test_memory_limit(tiny_bundle):
    refuse(tiny_bundle, MemoryLimitError, "needs about 1000000 bytes of memory, the limit is 999999",
           memory_limit_bytes=999_999)  # fmt: skip
    Pipeline(tiny_bundle, memory_limit_bytes=1_000_000).close()


def test_memory_limit_counts_the_arena_at_least(tmp_path, tiny_files, manifest):
    manifest["memory"]["peak_bytes"] = 0
    bundle = tiny_model.write_bundle(tmp_path, tiny_files, manifest)
    refuse(bundle, MemoryLimitError, "needs about 200000 bytes", memory_limit_bytes=199_999)


def test_memory_limit_is_refused_before_loading(tmp_path, tiny_files, manifest):
    """The files are not even readable programs, but the limit is what is reported."""
    files = {name: b"x" * 1000 for name in tiny_files}
    manifest["files"] = tiny_model.make_manifest(files)["files"]
    refuse(tiny_model.write_bundle(tmp_path, files, manifest), MemoryLimitError, "limit", memory_limit_bytes=1)


def noise(images: int, value: float = 0.0) -> np.ndarray:
    return np.full((images, *tiny_model.LATENT), value)


REQUESTS = [
    ({"label": 6}, "label must be in 0 .. 4 or the null label 5, not 6"),
    ({"label": -1}, "label must be in"),
    ({"label": "class 9"}, 'no label has the name "class 9"'),
    ({"seeds": []}, "seed_count numbers"),
    ({"seeds": [2**64]}, "seeds must be in"),
    ({"steps": 0}, "steps must be in 1 .. 1000"),
    ({"steps": -5}, "steps must be in 1 .. 1000"),
    ({"steps": 1001}, "steps must be in 1 .. 1000"),
    ({"steps": 2**32 + 4}, "steps must fit into 32 bits"),
    ({"preview_interval": 2**32}, "preview_interval must fit into 32 bits"),
    ({"label": 2**32}, "label must be in"),
    ({"guidance_scale": float("nan")}, "guidance_scale must be in"),
    ({"guidance_scale": float("inf")}, "guidance_scale must be in"),
    ({"guidance_interval": (-0.1, 1)}, "guidance_low"),
    ({"guidance_interval": (0, float("nan"))}, "guidance_high"),
    ({"scheduler": "unipc"}, "scheduler must be one of ddim"),
    ({"scheduler": "euler"}, "has the schedulers ddim, dpm-solver\\+\\+, not euler"),
    ({"guidance_interval": (0.8, 0.2)}, "guidance_low must not be above"),
    ({"spacing": "even"}, "spacing must be one of leading"),
    ({"eta": 2.0}, "eta must be in 0 .. 1"),
    ({"eta": 0.5, "scheduler": "dpm-solver++"}, "eta belongs to DDIM"),
    ({"preview_interval": -1}, "preview_interval must not be negative"),
    ({"initial_noise": noise(2)}, "initial_noise must hold 256 finite floats"),
    ({"initial_noise": noise(1, float("nan"))}, "initial_noise must hold 256 finite floats"),
]


@pytest.mark.parametrize(("change", "message"), REQUESTS)
def test_bad_requests(pipeline, change, message):
    with pytest.raises((InvalidArgumentError, NotFoundError), match=message):
        pipeline.generate_batch(**({"label": 0, "seeds": [1]} | change))
    pipeline.generate(0, steps=1)


def test_bad_calls(pipeline, tiny_bundle):
    zeros = np.zeros(tiny_model.LATENT, dtype=np.float32)
    with pytest.raises(InvalidArgumentError, match="label must be in"):
        pipeline.denoise(zeros, 0, 6, guided=True)
    with pytest.raises(InvalidArgumentError, match="latents must have the shape"):
        pipeline.decode(zeros[:3])
    refuse(tiny_bundle, InvalidArgumentError, "threads must be in 0 .. 64", threads=-1)
    refuse(tiny_bundle, InvalidArgumentError, "threads must be in 0 .. 64", threads=65)
    refuse(tiny_bundle, InvalidArgumentError, "load_mode must be one of", load_mode="fast")
    refuse(tiny_bundle, InvalidArgumentError, "threads must fit into 32 bits", threads=2**32 + 1)
    refuse(tiny_bundle, InvalidArgumentError, "memory_limit_bytes must fit into 64 bits", memory_limit_bytes=2**64)
    with pytest.raises(InvalidArgumentError, match="label must be in"):
        pipeline.denoise(zeros, 0, 2**32, guided=False)


def test_preview_needs_a_projection(tmp_path, tiny_files, manifest):
    del manifest["preview"]
    with Pipeline(tiny_model.write_bundle(tmp_path, tiny_files, manifest)) as opened:
        assert not opened.has_preview
        with pytest.raises(InvalidArgumentError, match="no preview projection"):
            opened.generate(0, preview_interval=1)


def test_values_that_are_not_finite(pipeline):
    """At this noise the predicted clean sample overflows: the picture would be undefined."""
    with pytest.raises(EngineError, match="not finite"):
        pipeline.generate_batch(0, [0], steps=4, initial_noise=noise(1, 3e38))


def test_closed_pipeline(tiny_bundle):
    pipeline = Pipeline(tiny_bundle)
    pipeline.close()
    pipeline.close()
    with pytest.raises(InvalidArgumentError, match="pipeline is closed"):
        pipeline.generate(0)


def test_damaged_model_never_crashes(tmp_path, tiny_files):
    """Flipped bytes with digests that agree, as an attacker's file has. In a process of its own, to see a crash."""
    script = """
import hashlib, json, pathlib, random, sys
from hqdit_mobile.runtime.engine import EngineError, Pipeline
bundle = pathlib.Path(sys.argv[1])
manifest = json.loads((bundle / "manifest.json").read_text())
path = bundle / "transformer.pte"
good = path.read_bytes()
random.seed(int(sys.argv[2]))
for _ in range(60):
    data = bytearray(good)
    for _ in range(random.choice([1, 4])):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)
    try:
        with Pipeline(bundle, verify_sha256=False) as opened:
            opened.generate(0, steps=1)
    except EngineError:
        pass
path.write_bytes(good)
"""
    bundle = tiny_model.write_bundle(tmp_path, tiny_files)
    for seed in range(3):
        command = [sys.executable, "-I", "-c", script, str(bundle), str(seed)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr[-2000:]


def test_digest_of_every_length(tmp_path, tiny_files, manifest):
    """SHA-256 against hashlib around the block size: the digest in the message is the engine's own."""
    for size in (1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 300_000):
        data = bytes(i * 7 % 251 for i in range(size))
        files = tiny_files | {"transformer.pte": data}
        changed = tiny_model.make_manifest(files)
        changed["files"]["transformer"]["sha256"] = "0" * 64
        bundle = tiny_model.write_bundle(tmp_path, files, changed)
        refuse(bundle, InvalidBundleError, f"SHA-256 is {hashlib.sha256(data).hexdigest()}")
