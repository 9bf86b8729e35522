# SPDX-License-Identifier: Apache-2.0
"""The end of every command: its exit code, and one line where the user can do something about it.

| code | meaning |
|---|---|
| 0 | done |
| 1 | a check failed: parity or quality is below what is needed |
| 2 | the input, an option, a file or this machine is at fault: the message names it and the fix |
| 70 | a fault of hqdit-mobile; a traceback to report comes with it |
| 130 | stopped by Ctrl-C |
| 141 | who read standard output has gone |
"""

from __future__ import annotations

import errno
import functools
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from hqdit_mobile.cli.console import say_error
from hqdit_mobile.cli.quiet import quiet

EPILOG = "Exit codes: 0 done, 1 a check failed, 2 bad input, 70 a fault of hqdit-mobile, 130 stopped by Ctrl-C."


class CheckFailed(RuntimeError):
    """Parity or quality is below what is needed; the text says where."""


@contextmanager
def when_stopped(text: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C inside says ``text()`` at the end of the command."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(text()) from error


def exits(command: Callable[..., int | None]) -> Callable[..., NoReturn]:
    """Ends the process with what ``command`` returns, or with the code of what it raises.

    Other libraries are kept quiet inside, unless the command has ``--verbose`` (options.py) and it is given.
    """

    @functools.wraps(command)
    def run(*arguments: object, verbose: bool = False, **options: object) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # what a terminal's encoding has not is told, not refused
        try:
            with quiet(verbose, _unexpected):
                code = command(*arguments, **options) or 0
                if sys.stdout is not None:  # it may be closed
                    sys.stdout.flush()
        except Exception as error:
            code = _code(error)
        except SystemExit as end:
            # rich ends the process by itself when who read its output has gone.
            if not isinstance(end.__context__, BrokenPipeError):
                raise
            code = 141
        except KeyboardInterrupt as error:
            say_error(str(error) or "nothing was written", "Stopped;")
            code = 130
        sys.exit(code)

    return run


def _code(error: Exception) -> int:
    if isinstance(error, BrokenPipeError):
        # Python would complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    if isinstance(error, CheckFailed):
        say_error(error, "Failed:")
        return 1
    message = explain(error)
    if message is None:
        import traceback

        traceback.print_exception(error)
        say_error("this is a fault of hqdit-mobile: please report it with the lines above", f"{type(error).__name__}:")
        return 70
    say_error(message)
    return 2


def _unexpected(error: Exception) -> bool:
    return not isinstance(error, CheckFailed | BrokenPipeError) and explain(error) is None


def explain(error: Exception) -> str | None:
    """What to tell the user about an error of their making or their machine's; None for one of ours."""
    from hqdit_mobile.runtime.errors import EngineError

    if isinstance(error, ModuleNotFoundError):
        extra = {"onnx": "onnx", "onnxruntime": "onnx", "onnxscript": "onnx", "torch_fidelity": "fidelity"}
        name = (error.name or "").partition(".")[0]
        if name in extra:
            return f"{name} is missing: pip install 'hqdit-mobile[{extra[name]}]'"
        return None
    if isinstance(error, EngineError):
        return str(error)
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        return "this machine has not enough memory for it; close other programs or take a smaller model"
    if isinstance(error, OSError) and error.errno is not None:
        named = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        hint = "; free some space or choose another disk" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        return f"{': '.join([*named[:1], error.strerror or str(error)])}{hint}"
    if isinstance(error, ValueError | OSError):
        return str(error)
    return None
