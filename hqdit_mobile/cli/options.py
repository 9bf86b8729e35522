# SPDX-License-Identifier: Apache-2.0
"""Types of options that refuse at the command line what would fail, or be ignored, an hour later."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hqdit_mobile.util.atomic_write import check_writable


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
    """The path of a regular file to write, links resolved: what cannot be written is better known before the work than
    after it, and a device or a pipe is never replaced.

    ``suffix``: that of the one format that is written. ``inside``: the parameter of the folder that the command makes,
    in which the file may lie.
    """

    name = "file"

    def __init__(self, suffix: str = "", inside: str = ""):
        self.suffix, self.inside = suffix, inside

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Path:
        try:
            return self._checked(Path(value), Path(context.params.get(self.inside) or "") if context else Path())
        except OSError as error:
            self.fail(f"{value}: {error.strerror}.", parameter, context)
        except ValueError as error:
            self.fail(str(error), parameter, context)

    def _checked(self, path: Path, folder: Path) -> Path:
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise ValueError(f"{path} is a folder.")
        if os.path.lexists(target) and not target.is_file():
            raise ValueError(f"{path} is no regular file: give the name of one, which may be new.")
        if self.suffix and path.suffix.lower() != self.suffix:
            raise ValueError(f"{path} must end in {self.suffix}, the format that is written.")
        if self.inside and not target.parent.exists() and target.parent == Path(os.path.realpath(folder)):
            return target
        if not target.parent.is_dir():
            raise ValueError(f"there is no folder {target.parent}; make it first.")
        check_writable(target)
        return target


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


class PublicKey(click.ParamType):
    """64 hexadecimal digits, or the PEM file of a public key."""

    name = "key"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        from hqdit_mobile.runtime.signature import KeyFileError, key_bytes, read_public_key

        try:
            return read_public_key(Path(value)) if Path(value).is_file() else key_bytes(value).hex()
        except (KeyFileError, OSError) as error:
            self.fail(str(error), parameter, context)


PUBLIC_KEYS = click.option(
    "--public-key", "public_keys", type=PublicKey(), multiple=True,
    help="Refuse a bundle that this key has not signed: digits that 'hqdit sign' prints, or a PEM file. More than one: "
         "one of them must have.",
)  # fmt: skip

VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Show what other libraries print, too.")
