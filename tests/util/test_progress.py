# SPDX-License-Identifier: Apache-2.0
"""What a terminal of 80 columns shows of an export's longest stage."""

import io
import re
import time

from rich.console import Console

from hqdit_mobile.util.progress import Stages


def test_a_stage_is_one_line_of_an_80_column_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    with Stages(console) as stages:
        stages.note("[/red] as it is")
        stages.begin("Draw for the preview and the decoder", 320)
        for _ in range(3):
            stages.advance()
            time.sleep(0.15)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", console.file.getvalue())
    lines = [line for line in re.split("[\r\n]+", shown) if line.strip()]
    assert "[/red] as it is" in lines
    bars = [line for line in lines if line.startswith("Draw for the preview")]
    assert bars and all(len(line) <= 80 and line.rstrip().endswith("GiB") for line in bars)
    assert any(re.search(r"[1-3]/320 +0:00:0\d +-0:00:\d\d", line) for line in bars), bars[-3:]


def test_time_left_of_pieces_that_take_minutes(monkeypatch):
    """As many as an earlier run has left, at the pace of this run; the countdown goes on inside a piece."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    with Stages(console) as stages:
        stages.begin("Quantize", 28)
        stages.skip(20)
        for _ in range(2):
            clock[0] += 90
            stages.advance()
        clock[0] += 30
        time.sleep(0.3)
    shown = re.findall(r"22/28 +\S+ +(-\S+)", console.file.getvalue())
    assert shown[-1] == "-0:08:30", shown


def test_a_file_gets_one_line_a_stage():
    console = Console(file=io.StringIO(), width=80)
    with Stages(console) as stages:
        stages.begin("First", 3)
        stages.advance()
        stages.begin("Second")
    lines = console.file.getvalue().splitlines()
    assert [re.sub(r"[\d.]+", "0", line) for line in lines] == ["First: 0 s, peak 0 GiB", "Second: 0 s, peak 0 GiB"]
