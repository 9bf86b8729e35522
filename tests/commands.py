# SPDX-License-Identifier: Apache-2.0
"""Our commands in this process, for tests of what they say and write. Starting one takes a third of a second, and five
with torch; where the process is the subject (its streams, signals, other libraries), tests start one."""

import subprocess
from collections.abc import Callable

import pytest

from hqdit_mobile.cli.main import export, main

PROGRAMS = {"hqdit": main, "hqdit-export": export}


@pytest.fixture
def command(capfd) -> Callable[..., subprocess.CompletedProcess[str]]:
    """command(program, *arguments) -> how it ended, as subprocess.run gives it."""

    def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        words = list(map(str, arguments))
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:  # every end of a command: hqdit_mobile/cli/exits.py
            PROGRAMS[program].main(words, prog_name=program)
        return subprocess.CompletedProcess([program, *words], end.value.code, *capfd.readouterr())

    return run
