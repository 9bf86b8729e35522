# SPDX-License-Identifier: Apache-2.0
"""hqdit bench on tiny shapes and a tiny model: every runtime runs, and the record is complete and consistent. No test
here depends on how long anything takes."""

import json
import platform
import subprocess
import sys
from types import SimpleNamespace

import onnx
import pytest
import torch
from checkpoint_folders import tiny_folder
from torch import nn

from hqdit_mobile.bench import amx, machine, peers_executorch, peers_onnxruntime, prepare, report, timing
from hqdit_mobile.bench.linear import FOUR_BIT_PEERS, LAYERS, OUR_ACTIVATIONS, Shape
from hqdit_mobile.bench.linear import compared as linear_figures
from hqdit_mobile.bench.round_to_nearest import round_layer, round_model_
from hqdit_mobile.bench.run import BENCH_PLANS, BenchPlan, BenchSubject, run_bench
from hqdit_mobile.bench.step import compared as step_figures
from hqdit_mobile.bench.timing import Effort, measure, medians
from hqdit_mobile.export.bundle.job import clean_latents
from hqdit_mobile.export.bundle.manifest import build_manifest
from hqdit_mobile.export.bundle.model_files import write_model_files
from hqdit_mobile.export.bundle.options import ExportOptions
from hqdit_mobile.model.loading import load_model
from hqdit_mobile.ops.native import available_isas
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.runtime.manifest_file import write_manifest
from hqdit_mobile.util.metrics import snr_db
from hqdit_mobile.util.progress import Stages

ONCE = Effort(rounds=1, turn_seconds=0.0)
SHAPES = [Shape("DiT-tiny", "fc1", 128, 256, (1, 5)), Shape("DiT-tiny", "fc1, fc2", 128, 256, (1,), pairs=2)]
PLAN = BenchPlan("tiny", SHAPES, ("XNNPACK 8da4w g128",), ONCE, ONCE, ONCE, load_rounds=1)
LINEAR_PEERS = {
    "XNNPACK float32", "XNNPACK 8da4w per channel", "XNNPACK 8da4w g128", "XNNPACK 8da8w",
    "ONNX Runtime float32", "ONNX Runtime dynamic int8", "ONNX Runtime MatMulNBits",
}  # fmt: skip
MODEL_FORMS = {"hqdit .pte", "hqdit .onnx", "hqdit .onnx, stock runtime", "XNNPACK float32", "XNNPACK 8da4w g128"} | {
    name for name in LINEAR_PEERS if name.startswith("ONNX")
}


class Clock:
    """A clock that only the runners move."""

    def __init__(self, monkeypatch):
        self.now, self.log = 0.0, []
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(timing.time, "sleep", lambda _seconds: None)

    def runner(self, name, durations):
        remaining = iter(durations)

        def run():
            self.log.append(name)
            self.now += next(remaining)

        return run


def test_measure_takes_turns_and_the_median(monkeypatch):
    clock = Clock(monkeypatch)
    # The first call is not counted; 100 is a disturbed turn, which the median passes over.
    runners = {"a": clock.runner("a", [9.0, 1.0, 100.0, 3.0]), "b": clock.runner("b", [9.0, 4.0, 4.0, 4.0])}
    seconds = measure(runners, Effort(rounds=3, turn_seconds=0.0))
    assert seconds == {"a": [1.0, 100.0, 3.0], "b": [4.0, 4.0, 4.0]} and medians(seconds) == {"a": 3.0, "b": 4.0}
    turns = [clock.log[i : i + 2] for i in range(0, len(clock.log), 2)]
    assert all(sorted(turn) == ["a", "b"] for turn in turns), "a runner did not get its turn in every round"


def test_short_calls_are_warmed_up_and_averaged(monkeypatch):
    clock = Clock(monkeypatch)
    durations = [0.01, 0.05, 0.01, 0.03, 0.02]  # first call, warm-up, then three that fill a turn of 0.05 s
    assert measure({"a": clock.runner("a", durations)}, Effort(1, 0.05))["a"] == pytest.approx([0.02])
    assert len(clock.log) == 5


@pytest.fixture(scope="module")
def layer():
    torch.manual_seed(0)
    return nn.Linear(256, 384).requires_grad_(False), torch.randn(7, 256)


@pytest.mark.parametrize(("activation", "least_db"), [("int8", 19.0), ("fp4", 16.0)])
def test_rounded_layers_are_the_layer(layer, activation, least_db):
    """What is timed computes the linear layer, as well as 4 bits can (a wrong rotation or code gives about 0 dB)."""
    linear, x = layer
    assert snr_db(linear(x), round_layer(linear, HQDiTConfig(), activation)(x)) > least_db


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least_db"), [("float32", 100), ("dynamic int8", 30), ("MatMulNBits", 15)])
def test_onnxruntime_peers_compute_the_layer(layer, tmp_path, name, least_db):
    linear, x = layer
    onnx.save_model(peers_onnxruntime.linear_model([linear]), tmp_path / "m.onnx")
    path = peers_onnxruntime.variants(tmp_path / "m.onnx")[f"ONNX Runtime {name}"]
    (got,) = peers_onnxruntime.session(path, 1).run(None, {"x": x.numpy()})
    assert snr_db(linear(x), torch.from_numpy(got)) > least_db
    if name != "float32":
        operators = {node.op_type for node in onnx.load(path).graph.node}
        assert "MatMul" not in operators, f"{name} left the product in float: {operators}"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least_db"), [("8da4w per channel", 14), ("8da4w g128", 14), ("8da8w", 30)])
def test_xnnpack_peers_compute_the_layer(layer, name, least_db):
    linear, x = layer
    module = peers_executorch.quantized(nn.Sequential(linear), f"XNNPACK {name}")
    assert snr_db(linear(x), module(x)) > least_db
    data = peers_executorch.lower({"forward": (module, (x,))})
    assert data.operators["executorch_call_delegate"] == 1 and "linear" not in " ".join(data.operators)


def check_linear(entries):
    assert [(entry["tokens"], entry["layers"]) for entry in entries] == [(1, 1), (5, 1), (1, 4)]
    for entry in entries:
        assert set(entry["microseconds"]) == LINEAR_PEERS | set(OUR_ACTIVATIONS)
        assert all(seconds > 0 for seconds in entry["microseconds"].values())
        assert 0 < entry["fraction_of_peak"] <= entry["fraction_of_peak_in_best_turn"] < 1


def test_figures_of_a_layer():
    """1,000 tokens x 500 x 1,000 are 10^9 operations; by hand."""
    shape = Shape("DiT-hand", "fc1", 500, 1000, (1000,))
    turns = {"hqdit w4a8": [0.002, 0.001, 0.004], "hqdit w4a4": [0.0005], "XNNPACK 8da4w g128": [0.008]}
    turns |= {"XNNPACK 8da4w per channel": [0.01], "ONNX Runtime MatMulNBits": [0.02], "XNNPACK float32": [0.004]}
    entry = linear_figures(shape, 1000, turns, peak=2000.0)
    assert entry["microseconds"]["hqdit w4a8"] == pytest.approx(2000) and entry["tokens"] == 1000
    assert entry["gops"]["hqdit w4a8"] == pytest.approx(500) and entry["gops"]["XNNPACK float32"] == pytest.approx(250)
    assert entry["fraction_of_peak"] == pytest.approx(0.25)
    assert entry["fraction_of_peak_in_best_turn"] == pytest.approx(0.5)
    assert entry["fastest_peer"] == "XNNPACK float32" and entry["speedup_vs_fastest_peer"] == pytest.approx(2)
    assert entry["fastest_4bit_peer"] == "XNNPACK 8da4w g128"
    assert entry["speedup_vs_fastest_4bit_peer"] == pytest.approx(4)


def test_figures_of_layers_in_a_row():
    """Two pairs of 500 x 1,000 and back are four times the operations of one layer."""
    shape = Shape("DiT-hand", "fc1, fc2", 500, 1000, (1000,), pairs=2)
    assert shape.sizes == [(500, 1000), (1000, 500), (500, 1000), (1000, 500)]
    turns = {name: [0.002] for name in ("hqdit w4a8", "hqdit w4a4", *FOUR_BIT_PEERS)}
    assert linear_figures(shape, 1000, turns, peak=2000.0)["gops"]["hqdit w4a8"] == pytest.approx(2000)


def test_onnxruntime_runs_layers_in_a_row(tmp_path):
    torch.manual_seed(0)
    layers = [nn.Linear(k, n).requires_grad_(False) for k, n in ((64, 96), (96, 64), (64, 96))]
    onnx.save_model(peers_onnxruntime.linear_model(layers), tmp_path / "m.onnx")
    x = torch.randn(3, 64)
    (got,) = peers_onnxruntime.session(tmp_path / "m.onnx", 1).run(None, {"x": x.numpy()})
    assert snr_db(nn.Sequential(*layers)(x), torch.from_numpy(got)) > 100


def test_full_plan_has_every_shape_of_the_dits():
    full = {(s.in_features, s.out_features): s.tokens for s in BENCH_PLANS["full"].shapes if not s.pairs}
    widths = (384, 768, 1024, 1152)
    assert full == {(w * k, w * n): (1, 2, 64, 256, 512, 1024) for w in widths for k, n in LAYERS.values()}
    quick = {(s.in_features, s.out_features): s.tokens for s in BENCH_PLANS["quick"].shapes if not s.pairs}
    assert all(set(tokens) <= set(full[sizes]) for sizes, tokens in quick.items())


@pytest.fixture(scope="module")
def subject(tmp_path_factory) -> BenchSubject:
    """A two-block DiT of width 128 as a bundle, its layers rounded to nearest."""
    source, bundle = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("bundle")
    tiny_folder(source)
    model = load_model(str(source))
    model.dit.drop_learned_sigma_()
    quantized = SimpleNamespace(float_bytes=4 * sum(p.numel() for p in model.dit.parameters()), bits_per_weight=4.5)
    round_model_(model.dit, HQDiTConfig())
    options = ExportOptions(str(source), bundle, "desktop")
    latents = clean_latents(model, options)
    files = write_model_files("executorch", model, bundle, latents)
    manifest = build_manifest(options, model, quantized, bundle, files, latents)
    write_manifest(bundle, manifest)
    return BenchSubject(bundle, steps=2)


@pytest.fixture(scope="module")
def record(subject):
    cores = machine.available_cores()
    with Stages() as stages:
        return run_bench(PLAN, subject, cores, None, stages)


def check_times(part, names):
    assert set(part["milliseconds"]) == names
    assert all(value > 0 for value in part["milliseconds"].values())
    assert part["fastest_peer"] in names and not part["fastest_peer"].startswith("hqdit")


def test_figures_of_a_step():
    """By hand. Our own .onnx is not a peer, however fast."""
    seconds = {"torch float32": 0.08, "hqdit .pte": 0.02, "hqdit .onnx": 0.01, "XNNPACK float32": 0.05}
    figures = step_figures(seconds)
    assert figures["milliseconds"] == pytest.approx({name: 1000 * value for name, value in seconds.items()})
    assert figures["fastest_peer"] == "XNNPACK float32"
    assert figures["speedup_vs_fastest_peer"] == pytest.approx(2.5)
    assert figures["speedup_vs_torch_float32"] == pytest.approx(4)
    assert figures["speedup"]["hqdit .onnx"] == pytest.approx(0.5)


def test_record_of_a_model(record):
    check_linear(record["linear"])
    step = record["step"]
    for kind in ("guided", "unguided"):
        check_times(step[kind], MODEL_FORMS | {"torch float32"})
        # All of them predict the same noise: 4 bits without calibration cost most.
        assert set(step[kind]["snr_db_vs_torch_float32"]) == MODEL_FORMS
        for name, value in step[kind]["snr_db_vs_torch_float32"].items():
            assert value > (60 if "float32" in name else 10), name
    assert step["speedup_vs_fastest_peer"] == step["guided"]["speedup_vs_fastest_peer"]
    check_times(record["image"], {"torch float32", *(n for n in MODEL_FORMS if "ONNX" not in n and "onnx" not in n)})
    assert record["image"]["steps"] == 2


def test_record_of_files_and_processes(record, subject):
    load = {entry["name"]: entry for entry in record["load"]}
    assert set(load) == MODEL_FORMS
    size = sum((subject.bundle / f"{part}.pte").stat().st_size for part in ("transformer", "vae_decoder"))
    assert load["hqdit .pte"]["file_bytes"] == size < load["XNNPACK float32"]["file_bytes"]
    for entry in load.values():
        assert entry["load_ms_warm"] > 0 and entry["first_step_ms"] > 0 and entry["peak_bytes"] > 0
    assert load["hqdit .pte"]["image_peak_bytes"] >= load["hqdit .pte"]["peak_bytes"]


def test_a_large_model_comes_without_its_float_forms(subject, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "LARGE", 1)
    forms = prepare.prepare(subject.bundle, None, None, tmp_path, PLAN.peers, lambda _stage: None)
    left_out = {"XNNPACK float32", "ONNX Runtime float32", "hqdit .onnx, stock runtime"}
    assert {*forms.bundles, *forms.onnx} == MODEL_FORMS - left_out


def test_machine_is_described_without_names(record):
    described = record["machine"]
    assert described["threads"] == machine.available_cores() and described["cpu"] and described["isa"]
    assert described["versions"]["torch"] == torch.__version__.split("+")[0]
    text = json.dumps(record["machine"])
    assert "/" not in text and platform.node() not in text


def test_amx_is_denied_to_a_process_and_its_children():
    if amx.permitted() is None:
        pytest.skip("this processor has no AMX")
    if not amx.permitted():
        pytest.skip("this process may not use AMX")
    with pytest.raises(ValueError, match="has AMX already"):
        amx.deny()
    asked = "import onnxruntime; from hqdit_mobile.bench import amx; print(amx.permitted())"
    denied = (
        "import subprocess, sys; from hqdit_mobile.bench import amx; amx.deny(); print(amx.permitted());"
        "from hqdit_mobile.ops.native import available_isas; print(available_isas()[0], flush=True);"
        f"subprocess.run([sys.executable, '-I', '-c', {asked!r}], check=True)"
    )
    result = subprocess.run([sys.executable, "-I", "-c", denied], capture_output=True, text=True, check=False)
    without = [isa for isa in available_isas() if isa != "amx"]
    assert result.stdout.split() == ["False", without[0], "False"], result.stderr


def test_the_machine_line_says_that_amx_was_denied(record):
    for permitted, said in ((True, False), (None, False), (False, True)):
        machine_with = record | {"machine": record["machine"] | {"amx": permitted}}
        assert ("AMX denied to all" in report.machine_line(machine_with)) == said


def test_reports(record, tmp_path):
    report.write_json(tmp_path / "bench.json", record)
    assert json.loads((tmp_path / "bench.json").read_text()) == record
    text = report.markdown(record)
    assert all(f"| {name} |" in text for name in MODEL_FORMS) and "5 x 128 x 256" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| DiT-tiny")}
    assert len(widths) == 1
    report.write_plot(tmp_path / "bench.png", record)
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bench.json", "bench.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--threads", "4096"], "--threads 4096"), (["missing-bundle"], "manifest.json"), (["--steps", "0"], "--steps")],
)
def test_errors_of_the_command(command, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "set_threads", lambda _threads: None)  # other tests share this process
    done = command("hqdit", "bench", *arguments)
    assert done.returncode == 2 and message in done.stderr


def test_a_bundle_of_another_model_is_refused(subject):
    subject = BenchSubject(subject.bundle, model="builtin:emoji-dit")
    with Stages() as stages, pytest.raises(ValueError, match="is not the model of .*--model"):
        run_bench(PLAN, subject, machine.available_cores(), None, stages)
