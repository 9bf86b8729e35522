# SPDX-License-Identifier: Apache-2.0
"""Every option of every command with values that make no sense: exit code 2 and a line that names what is wrong, before
any work is done, and nothing written.

The models and bundles that the commands are given do not exist, so a value that is taken is told by another error.
"""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from hqdit_mobile.cli.main import export, main

NOT_FINITE = ["nan", "inf", "-inf", "x", ""]
GUIDANCE = {"--guidance-scale": [*NOT_FINITE, "-1", "1e4"]}
INTERVAL = {"--guidance-interval": ["nan 1", "0 inf", "-0.1 1", "0 1.1", "0.8 0.2", "x 1"]}
STEPS = {"--steps": ["0", "-1", "1001", "1.5", "nan", "99999999999999999999"]}
CHECKPOINT = {"--family": ["dits"], "--num-heads": ["0", "-1", "x"], "--num-classes": ["0", "-1", "1e3"]}
FILES = ["no-folder/a.png", "a-folder", "a-file/a.png", "pipe.png", "/proc/a.png", "x" * 253 + ".png", "loop.png"]
THREADS = {"--threads": ["-1", "x"]}
PLOT = {"--plot": [*FILES, "a.jpg", "a"]}

EXPORT = (
    GUIDANCE
    | INTERVAL
    | STEPS
    | CHECKPOINT
    | {
        "--seed": ["-1", "99999999999999999999", "1.5"],
        "--num-calibration-samples": ["0", "-1", "1000000", "nan"],
        "--scheduler": ["ddpm"],
        "--target": ["windows"],
        "--runtime": ["torch"],
        "--recipe": ["w4a9", "w4a8-high"],
        "--quality": ["low"],
        "--sign": ["no-key.pem", "a-folder", "a-file"],
        "--output-dir": ["a-file", "a-folder", "a-file/out", "/proc/out", "x" * 300, "x" * 245, "loop.png"],
    }
)
COMMANDS = {
    "hqdit-export -m no-model": EXPORT,
    "sample no-bundle --label 1": GUIDANCE
    | INTERVAL
    | STEPS
    | THREADS
    | {
        "--seed": ["-1", str(2**64), "x"],
        "--scheduler": ["ddpm"],
        "--memory-limit": ["0", "-1", "x"],
        "--public-key": ["x", "", "0" * 63, "g" * 64],
        "--preview-interval": ["-1", "x"],
        "--output": ["no-folder/a.png", "a-folder", "a-file/a.png", "/proc/a.png", "x" * 253 + ".png", "a.bmp"],
    },
    "bench no-bundle": STEPS | THREADS | CHECKPOINT | PLOT | {"--json": FILES, "--markdown": FILES},
    "parity no-bundle": {"--runtime": ["torch"], "--against": ["tensorrt"], "--json": FILES},
    "evaluate w4a8 -m ./nothing -o new": GUIDANCE
    | STEPS
    | CHECKPOINT
    | {
        "--samples": ["1", "-1", "x"],
        "--noise-samples": ["0", "-1"],
        "--json": FILES,
        "--fidelity": ["no-folder"],
        "--output": ["a-file", "a-file/out", "/proc/out", "x" * 300],
    },
    "evaluate-samplers no-bundle ddim:5 -o new": GUIDANCE | PLOT | {"--samples": ["1", "-1", "x"], "--json": FILES},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a-folder").mkdir()
    Path("a-file").touch()
    os.mkfifo("pipe.png")
    Path("loop.png").symlink_to("loop.png")
    return tmp_path


def late(error: str) -> bool:
    """Whether the value was taken, and what was missed is the model or the bundle."""
    return "no-bundle" in error or "no model at" in error


@pytest.mark.parametrize("command", COMMANDS)
def test_values_that_make_no_sense(command, folder):
    before = sorted(folder.iterdir())
    program, *words = command.split()
    if program != "hqdit-export":
        words = [program, *words]
    wrong = {}
    for option, values in COMMANDS[command].items():
        for value in values:
            given = value.split() if option == "--guidance-interval" else [value]
            done = CliRunner().invoke(export if program == "hqdit-export" else main, [*words, option, *given])
            said = done.stderr.strip().splitlines()
            if done.exit_code != 2 or not said or "Traceback" in done.stderr or late(said[-1]):
                wrong[f"{option} {value}"] = done.exit_code, done.stderr
            assert sorted(folder.iterdir()) == before, f"{option} {value} wrote something"
    assert not wrong


def test_every_option_is_here():
    left_out = {"--help", "--version", "--verbose", "--fast", "--force", "--quick", "--no-amx", "--npz", "--portable"}
    left_out |= {"--labels", "--label", "--model", "--vae", "--licence"}  # tests of names, loaders and cases
    for command, options in COMMANDS.items():
        program = command.split()[0]
        parameters = (export if program == "hqdit-export" else main.commands[program]).params
        names = {option for p in parameters if p.param_type_name == "option" for option in p.opts if len(option) > 2}
        missing = {name for name in names - left_out if name not in options}
        assert missing <= {"--precision", "--output"}, (command, missing)
