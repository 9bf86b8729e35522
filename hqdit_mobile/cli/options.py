# SPDX-License-Identifier: Apache-2.0
"""Types of options that refuse at the command line what would fail, or be ignored, an hour later."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A range of numbers without NaN, which click compares with its bounds in vain, and without infinity."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        number = super().convert(value, parameter, context)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", parameter, context)
        return number


class Interval(click.ParamType):
    """LOW and HIGH as a pair in 0 .. 1 that holds something."""

    name = "low high"
    is_composite = True
    arity = 2

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[float, float]:
        share = FiniteRange(0, 1)
        low, high = (share.convert(bound, parameter, context) for bound in value)
        if low > high:
            self.fail(f"LOW is {low:g} and HIGH {high:g}: nothing lies between; swap them.", parameter, context)
        return low, high


class OutputFile(click.ParamType):
    """The path of a file to write: a folder that is missing is better known before the work than after it."""

    name = "file"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Path:
        path = Path(value)
        if path.is_dir():
            self.fail(f"{path} is a folder.", parameter, context)
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}; make it first.", parameter, context)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            self.fail(f"{path} may not be written.", parameter, context)
        return path


# Every generator takes it, and what is added to it for a second one.
SEED = click.IntRange(0, 2**63 - 1)


def checkpoint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What is read where a command takes a checkpoint, and what the user says because its file cannot."""
    options = (
        ("--vae", str, "Folder or Hugging Face id of a VAE, for a DiT-*.pt checkpoint; none for pixels."),
        ("--family", click.Choice(["dit", "sit", "repa"]), "Of a checkpoint that does not say it."),
        ("--num-heads", click.IntRange(1), "Attention heads, where the checkpoint does not say them."),
        ("--num-classes", click.IntRange(1), "Classes, where the checkpoint does not say them."),
    )
    for name, kind, text in reversed(options):
        command = click.option(name, type=kind, help=text)(command)
    return command


VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Show what other libraries print, too.")
