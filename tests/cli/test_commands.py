# SPDX-License-Identifier: Apache-2.0
"""How commands end: exit codes, one line for what the user can mend, nothing of other libraries."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
import tiny_model

BIN = Path(sys.executable).parent


def run(*command, **options) -> subprocess.CompletedProcess:
    program, *arguments = map(str, command)
    command = [BIN / program, *arguments]
    return subprocess.run(command, **({"capture_output": True, "text": True, "timeout": 120} | options))


def test_ways_to_call_it():
    for command in (
        ("hqdit", "--version"),
        ("hqdit-export", "--version"),
        ("python", "-m", "hqdit_mobile", "--version"),
    ):
        done = run(*command, cwd="/")
        assert done.returncode == 0 and done.stdout.strip().endswith(f"version {version('hqdit-mobile')}"), done
    completion = run("hqdit", env=os.environ | {"_HQDIT_COMPLETE": "bash_source"})
    assert "_HQDIT_COMPLETE=bash_complete" in completion.stdout
    for command in ("hqdit", "hqdit-export"):
        assert "Exit codes: 0 done" in run(command, "--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--guidance-scale", "nan"),
        ("--guidance-scale", "inf"),
        ("--guidance-scale", "1e4"),
        ("--guidance-interval", "0.8", "0.2"),
        ("--guidance-interval", "nan", "1"),
        ("--seed", "99999999999999999999"),
        ("--seed", "-5"),
        ("--num-calibration-samples", "0"),
        ("--steps", "1001"),
    ],
)
def test_values_are_refused_at_the_command_line(command, arguments):
    done = command("hqdit-export", "-m", "./no-model", *arguments)
    assert done.returncode == 2 and f"Invalid value for '{arguments[0]}'" in done.stderr, done.stderr


def test_errors_are_one_line(command, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    cases = [
        (("hqdit", "info", tmp_path / "nowhere"), "is not a bundle"),
        (("hqdit", "info", "[/red]"), "[/red] is not a bundle"),
        (("hqdit", "info", "\x1b[2J"), "\\x1b[2J is not a bundle"),
        (("hqdit", "sample", tiny_bundle, "--label", "[/red]", "-o", tmp_path / "a.png"), 'has the name "[/red]"'),
        (("hqdit", "sample", tiny_bundle, "--label", "clas 1", "-o", tmp_path / "a.png"), 'near it are 1 "class 1'),
        (("hqdit", "sample", tiny_bundle, "--label", "1", "--portable", "-o", tmp_path / "a.png"), "no ONNX bundle"),
        (("hqdit", "sample", tiny_bundle, "--label", "1", "--guidance-interval", ".8", ".2"), "nothing lies between"),
        (("hqdit-export", "-m", "./nothing", "-o", tmp_path / "out"), "no model at"),
        (("hqdit-export", "-o", tmp_path / "file"), "choose another --output-dir"),
        (("hqdit-export", "-o", tmp_path / "file" / "out"), "is no folder"),
    ]
    for words, message in cases:
        done = command(*words)
        error = done.stderr.splitlines()[-1]
        assert done.returncode == 2 and message in error and "Traceback" not in done.stderr, done
        assert "\x1b[2J" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "file"]


def test_info_closed_by_its_reader(tiny_bundle):
    pipe = f"{BIN / 'hqdit'} info {tiny_bundle} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True)
    assert done.stdout.strip() in ("0", "141") and not done.stderr


TEXTS = ["\x1b]0;owned\x07\x1b[2J", "good\rEVIL", "abc\u202egnp.exe", "\x9b31m"]


@pytest.mark.parametrize("place", ["name", "labels", "licence"])
def test_texts_that_move_the_cursor_are_refused(command, tiny_files, tmp_path, place):
    for text in TEXTS:
        source = {"model": "m", "licence": "l", "random_weights": False}
        manifest = tiny_model.make_manifest(tiny_files) | {"source": source}
        if place == "labels":
            manifest["labels"][0] = text
        elif place == "name":
            manifest["name"] = text
        else:
            manifest["source"]["licence"] = text
        bundle = tiny_model.write_bundle(tmp_path, tiny_files, manifest)
        done = command("hqdit", "info", bundle, "--labels")
        assert done.returncode == 2 and "control characters" in done.stderr and not done.stdout
        assert text not in done.stderr


def test_markup_in_texts_is_shown_as_it_is(command, tiny_files, tmp_path):
    manifest = tiny_model.make_manifest(tiny_files)
    manifest["name"] = "[bold]a[/red] [link=http://x.invalid]b[/link] :smiley:"
    manifest["labels"][0] = "[/red] :heart:"
    done = command("hqdit", "info", tiny_model.write_bundle(tmp_path, tiny_files, manifest), "--labels")
    assert done.returncode == 0 and manifest["name"] in done.stdout and manifest["labels"][0] in done.stdout


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", "[" * 100_000, '{"schema_version": 1, "labels": [', '{"schema_version": 1}', "\xff\xfe", '"\\ud800"'],
)
def test_info_on_what_is_no_manifest(command, tmp_path, text):
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    done = command("hqdit", "info", tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("Error: ") and "manifest.json" in done.stderr, done.stderr


def test_closed_and_narrow_streams(tiny_bundle, tmp_path):
    draw = f"{BIN / 'hqdit'} sample {tiny_bundle} --label 1 --steps 1"
    for ending, code in (("-o a.png >&-", 0), ("-o b.png >&- 2>&-", 0), ("-o - >&-", 2), ("-o - >/dev/full", 2)):
        done = subprocess.run(f"{draw} {ending}", shell=True, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code and "Traceback" not in done.stderr, (ending, done)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
    done = run("hqdit", "info", tiny_bundle, "--labels", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and "class 1 \\U0001f642" in done.stdout


def test_exit_code_of_a_fault_of_ours():
    code = "from hqdit_mobile.cli.exits import exits; exits(lambda: {}['missing'])()"
    done = run("python", "-c", code, cwd="/")
    assert done.returncode == 70 and "KeyError: 'missing'" in done.stderr and "please report" in done.stderr


NOISY = """
import ctypes, logging, os, sys, warnings
from hqdit_mobile.cli.exits import CheckFailed, exits
def command(ending):
    ctypes.CDLL(None).dprintf(2, b"native noise\\n")
    warnings.warn("python noise")
    logging.getLogger("torch").warning("log noise")
    print("[thread_pool.cpp:66] redirected noise", file=sys.stderr)
    for piece in ("[", "cpuinfo.cpp", ":", "71", "] ", "piecewise noise", "\\n"):
        print(piece, end="", file=sys.stderr, flush=True)
    print("[our own] brackets", file=sys.stderr)
    print("our own", file=sys.stderr)
    if ending == "fails": raise CheckFailed("a check")
    if ending == "breaks": raise TypeError("ours")
exits(command)(sys.argv[1], verbose=sys.argv[2] == "loud")
"""


@pytest.mark.parametrize(
    ("ending", "loudness", "code", "noises"),
    [
        ("ends", "quiet", 0, []),
        ("ends", "loud", 0, ["native", "python", "log", "redirected", "piecewise"]),
        ("fails", "quiet", 1, []),
        ("breaks", "quiet", 70, ["native", "redirected", "piecewise"]),
    ],
)
def test_other_libraries_are_heard_when_asked_for(ending, loudness, code, noises):
    done = run("python", "-c", NOISY, ending, loudness, cwd="/")
    assert done.returncode == code, done.stderr
    noisy = ("native", "python", "log", "redirected", "piecewise")
    heard = [noise for noise in noisy if f"{noise} noise" in done.stderr]
    assert (
        heard == noises
        and "[our own] brackets\nour own\n" in done.stderr
        and ("a check" in done.stderr) == (ending == "fails")
    )


def test_sample_says_nothing_of_others(tiny_bundle, tmp_path):
    done = run("hqdit", "sample", tiny_bundle, "--label", "1", "--steps", "2", "-o", tmp_path / "a.png")
    (line,) = [line for line in done.stderr.splitlines() if "drawing" not in line]
    assert line.startswith(f"{tmp_path / 'a.png'}: 16 x 16, ")


def test_an_export_says_where_its_bundle_goes(tiny_bundle, monkeypatch):
    from hqdit_mobile.cli.export import _next_steps
    from hqdit_mobile.runtime.manifest_file import read_manifest

    root = Path(__file__).resolve().parents[2]
    monkeypatch.chdir(tiny_bundle.parent)  # from where its name is the shortest path
    for target in ("android", "ios"):
        manifest = msgspec.structs.replace(read_manifest(tiny_bundle), target=target)
        said = "\n".join(" ".join(step) for step in _next_steps(tiny_bundle, manifest))
        (script,) = re.findall(rf"(\w+/install_bundle\.sh) {tiny_bundle.name}$", said, re.MULTILINE)
        assert (root / script).is_file() and f"(docs/{target}.md)" in said


@pytest.mark.parametrize(
    ("place", "words", "said"),
    [
        ("hqdit_mobile.cli.options.FiniteRange.convert", "hqdit sample b --guidance-scale 2", "nothing was written"),
        ("hqdit_mobile.cli.options.Interval.convert", "hqdit-export --guidance-interval 0 1", "nothing was written"),
        ("click.Context.invoke", "hqdit info b", "the command had not begun, or was done"),
        ("click.Context.invoke", "hqdit-export", "the command had not begun, or was done"),
    ],
)
def test_ctrl_c_beside_a_command(command, monkeypatch, place, words, said):
    """While options are read, and just before or after its function, click would exit with 1, a failed check's code."""

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(place, stop)
    ended = command(*words.split())
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", f"Stopped; {said}\n")
