# SPDX-License-Identifier: Apache-2.0
"""Each allocation of opening a bundle, drawing with it and closing it fails once: how often the engine ends in what.

    cc -O1 -fPIC -shared tests/native/failing_allocations.c -o failing.so
    LD_PRELOAD=./failing.so python -I tests/fuzz/allocation_failures.py BUNDLE [STRIDE]

Every point has a process of its own. Those that end it are listed by the innermost functions of their stacks that have
names, the allocator's and libc's left out; c++filt makes them readable. Linux with glibc.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

MANY = 1 << 30
DEPTH = 4  # functions of a stack that are shown
NOT_REACHED = 100  # an exit code that is no status: the point lies behind the end
FRAME = re.compile(r"^(?:\S*/)?([^/\s]+?\.so)\S*?\((\w+)\+0x\w+\)", re.M)


class Run:
    """Open, draw, close, through the C interface with nothing of Python's between that could fail."""

    def __init__(self, bundle: str):
        from hqdit_mobile.runtime import abi

        self.abi, self.library, self.shim = abi, abi.library(), ctypes.CDLL(None)
        self.bundle, self.handle, self.options = os.fsencode(bundle), ctypes.c_void_p(), abi.OpenOptions()
        self.library.hqdit_open_options_init(self.options, ctypes.sizeof(self.options))
        self.options.threads = 1
        self.request, self.result, self.seeds = abi.Request(), abi.Result(), (ctypes.c_uint64 * 1)(3)
        self.pixels = ctypes.create_string_buffer(1 << 22)

    def whole(self, after: int) -> tuple[int, int]:
        """The first status that is not HQDIT_OK, and how many allocations were left to go before the failing one."""
        library, handle, request, result = self.library, self.handle, self.request, self.result
        self.shim.fail_allocation_after(after)
        status = library.hqdit_open(self.bundle, self.options, ctypes.byref(handle))
        if status == 0:
            library.hqdit_request_init(handle, request, ctypes.sizeof(request))
            library.hqdit_result_init(result, ctypes.sizeof(result))
            request.label, request.seeds, request.seed_count, request.steps = 0, self.seeds, 1, 1
            result.rgb, result.rgb_bytes = ctypes.addressof(self.pixels), len(self.pixels)
            status = library.hqdit_generate(handle, request, result)
            library.hqdit_close(handle)
        return status, self.shim.fail_allocation_after(-1)

    def name(self, status: int) -> str:
        return self.library.hqdit_status_name(status).decode()


def in_a_child(run: Run, point: int, stack: Path) -> int:
    """Its exit code, which is a status, or minus the signal that ended it, whose stack is in the file then."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(stack, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
        run.shim.show_stack_of_fatal_signals()
        status, left = run.whole(point)
        os._exit(NOT_REACHED if left >= 0 else status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def functions(stack: str) -> str:
    """Innermost first; names of C++ readable."""
    found = [name for library, name in FRAME.findall(stack) if not re.match(r"failing|libc\.|libstdc", library)]
    names = (
        subprocess.run(["c++filt", *found[:DEPTH]], capture_output=True, text=True, check=True).stdout if found else ""
    )
    return " < ".join(re.sub(r"\(.*", "", name) for name in names.splitlines())


def main() -> None:
    run, stride = Run(sys.argv[1]), int((sys.argv[2:] or ["1"])[0])
    ends: Counter[str] = Counter()
    stacks: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for point in range(0, MANY, stride):
            code = in_a_child(run, point, Path(folder) / "stack")
            if code == NOT_REACHED:
                break
            name = run.name(code) if code >= 0 else signal.Signals(-code).name
            ends[name] += 1
            if code < 0:
                stacks[f"{name} {functions((Path(folder) / 'stack').read_text())}"] += 1
    print(json.dumps({"ends": dict(ends), "stacks": dict(stacks.most_common())}, indent=1))


if __name__ == "__main__":
    main()
