# SPDX-License-Identifier: Apache-2.0
"""Progress of long work: a bar with elapsed time and peak memory; one line per stage where nobody watches."""

from __future__ import annotations

import resource
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from hqdit_mobile.util.texts import visible


def peak_rss_bytes() -> int:
    """Largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class _PeakMemoryColumn(ProgressColumn):
    """The process's peak, of a stage that is over at its end."""

    def render(self, task: Task) -> Text:
        peak = task.fields.get("peak") or peak_rss_bytes()
        return Text(f"{peak / 2**30:.2f} GiB", style="dim")


class _DoneColumn(MofNCompleteColumn):
    """Nothing for a stage of one piece."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total and task.total > 1 else Text()


class _LeftColumn(ProgressColumn):
    """The time left of a stage, as on a count-down. ``ends`` of the task: when it will be done, by time.monotonic.

    rich's own estimate looks at the last half minute, in which a large model finishes no piece.
    """

    def render(self, task: Task) -> Text:
        ends = task.fields.get("ends")
        if task.finished or ends is None:
            return Text()
        minutes, seconds = divmod(max(0, round(ends - time.monotonic())), 60)
        hours, minutes = divmod(minutes, 60)
        return Text(f"-{hours}:{minutes:02}:{seconds:02}", style="cyan")


class Stages:
    """Stages one after the other; each ends when the next begins. Use as a context manager.

    Args:
        console: where to; None for standard error. `rich.console.Console(quiet=True)` shows nothing.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None),
            _DoneColumn(table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            _LeftColumn(table_column=Column(no_wrap=True)),
            _PeakMemoryColumn(table_column=Column(no_wrap=True)),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._name: str | None = None
        self._task: TaskID | None = None
        self._started = 0.0
        self._worked = 0.0  # pieces of this stage that were not skipped
        self._resumed = 0.0  # when the first of them began, by time.monotonic

    def __enter__(self) -> Stages:
        self._progress.start()
        return self

    def note(self, text: str) -> None:
        """Says something besides the stages.

        Args:
            text: shown without any effect of control characters.
        """
        self._console.print(Text(visible(text)), highlight=False, soft_wrap=not self._console.is_terminal)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
        self._progress.stop()

    def begin(self, name: str, total: int | None = None) -> None:
        """Starts a stage and ends the one before.

        Args:
            name: what is shown.
            total: pieces of work, each about as long as the others; without it the bar pulses.
        """
        self._finish()
        self._name, self._started = name, time.perf_counter()
        self._worked, self._resumed = 0, time.monotonic()
        self._task = self._progress.add_task(name, total=total, ends=None)

    def advance(self, steps: float = 1) -> None:
        """Moves the bar.

        Args:
            steps: pieces that are done since the last call.
        """
        if self._task is None:
            return
        self._progress.advance(self._task, steps)
        self._worked += steps
        task = next(task for task in self._progress.tasks if task.id == self._task)
        if task.total:
            now = time.monotonic()
            left = (now - self._resumed) / self._worked * max(0.0, task.total - task.completed)
            self._progress.update(self._task, ends=now + left)

    def skip(self, steps: int = 1) -> None:
        """Moves the bar past what an earlier run has finished, which says nothing about the time of the rest.

        Args:
            steps: such pieces.
        """
        if self._task is not None:
            self._progress.advance(self._task, steps)
            self._resumed = time.monotonic()

    def _finish(self) -> None:
        if self._name is None or self._task is None:
            return
        total = self._progress.tasks[self._progress.task_ids.index(self._task)].total or 1
        self._progress.update(self._task, total=total, completed=total, peak=peak_rss_bytes())
        self._progress.stop_task(self._task)
        if not self._console.is_terminal:
            seconds = time.perf_counter() - self._started
            peak = peak_rss_bytes() / 2**30
            line = Text(f"{self._name}: {seconds:.1f} s, peak {peak:.2f} GiB")
            self._console.print(line, highlight=False, soft_wrap=True)
        self._name = self._task = None
