# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C outside of a command's own function, where click would exit with 1: our code for a check that failed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from hqdit_mobile.cli.console import say_error


@contextmanager
def _stopped(text: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say_error(text, "Stopped;")
        sys.exit(130)


class Stoppable(click.Command):
    """Exits with 130 (exits.py) if Ctrl-C comes while its options are read, before its function begins or after."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _stopped("nothing was written"):
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _stopped("the command had not begun, or was done"):
            return super().invoke(ctx)


class StoppableGroup(Stoppable, click.Group):
    """The same for a group and its commands."""

    command_class = Stoppable
