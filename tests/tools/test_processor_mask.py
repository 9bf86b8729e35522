# SPDX-License-Identifier: Apache-2.0
"""The library that hides instruction sets from a process: what is seen behind it, and that signals stay the program's.

What the processor has is what the kernel found (/proc/cpuinfo), so that these tests also pass behind a mask."""

import json
import signal
import subprocess
import sys

import pytest

from hqdit_mobile.bench.amx import cpu_flags

NEEDED = {  # of a backend, by the names of /proc/cpuinfo
    "avx512vbmi": {"avx512vbmi", "avx512_vnni"},
    "avx512vnni": {"avx512_vnni"},
    "avxvnni": {"avx_vnni"},
    "avx2": {"avx2"},
    "scalar": set(),
}
SEEN = """
import json, signal, subprocess, sys, threading
from hqdit_mobile.ops.native import available_isas
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
seen = []
thread = threading.Thread(target=lambda: seen.append(available_isas()))
thread.start()
thread.join()
print(json.dumps(seen[0]), flush=True)
if sys.argv[1:]:
    subprocess.run([sys.executable, "-I", "-c", *sys.argv[1:]], check=True)
"""


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("names", "hidden"),
    [
        ("amx", []),
        ("avx512vbmi", ["avx512vbmi"]),
        ("avx512", ["avx512vbmi", "avx512vnni"]),
        ("avxvnni", ["avxvnni"]),
        ("avx512,avxvnni", ["avx512vbmi", "avx512vnni", "avxvnni"]),
    ],
)
def test_kernels_see_what_is_not_hidden(masked, names, hidden):
    """In a thread that blocks every signal, and in a process that is started with all of them blocked."""
    done = run(masked(names), SEEN, SEEN)
    assert done.returncode == 0, done.stderr
    here = {isa for isa, flags in NEEDED.items() if flags <= set(cpu_flags())}
    seen, seen_by_the_other = map(json.loads, done.stdout.splitlines())
    assert seen == seen_by_the_other
    assert set(seen) - {"amx"} == here - set(hidden)
    assert names == "avxvnni" or "amx" not in seen


@pytest.mark.parametrize("names", ["avx3", "avx512,", ",avx512", "avx512 avxvnni", "avx51"])
def test_a_wrong_name_is_refused(masked, names):
    done = run(masked(names), "print('started')")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"PROCESSOR_MASK={names}: the names are amx, avx512vbmi, avx512, avxvnni, with commas between them\n"
    )


CPUID = "import hqdit_mobile.ops.native as native; native.available_isas();"  # one fault of ours at least
READ_NULL = "import ctypes; ctypes.string_at(0)"


@pytest.mark.parametrize("fault", [READ_NULL, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"])
@pytest.mark.parametrize("names", ["avx512", ""])
def test_faulthandler_reports_a_fault_of_the_program(masked, names, fault):
    done = run(masked(names), f"import faulthandler; faulthandler.enable();{CPUID}{fault}")
    assert done.returncode == -signal.SIGSEGV
    assert done.stderr.startswith("Fatal Python error: Segmentation fault"), done.stderr


@pytest.mark.parametrize("fault", [READ_NULL, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"])
def test_a_fault_without_a_handler_ends_the_process(masked, fault):
    done = run(masked("avx512"), f"{CPUID}{fault}; print('went on')")
    assert (done.returncode, done.stdout) == (-signal.SIGSEGV, "")


HANDLERS = """
import ctypes, os, signal
from hqdit_mobile.ops.native import available_isas
libc = ctypes.CDLL(None)
libc.signal.restype = ctypes.c_void_p
HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)
ours = HANDLER(lambda number: print("handled", number, available_isas()[0] in {best!r}, flush=True))
libc.signal(signal.SIGSEGV, ours)
os.kill(os.getpid(), signal.SIGSEGV)
os.kill(os.getpid(), signal.SIGSEGV)
signal.signal(signal.SIGSEGV, signal.SIG_IGN)
os.kill(os.getpid(), signal.SIGSEGV)
print(signal.getsignal(signal.SIGSEGV) is signal.SIG_IGN, flush=True)
signal.signal(signal.SIGSEGV, signal.SIG_DFL)
ctypes.string_at(0)
"""


def test_handlers_come_and_go_behind_it(masked):
    done = run(masked("avx512,avxvnni"), HANDLERS.format(best=["avx2", "scalar"]))
    handled = f"handled {int(signal.SIGSEGV)} True"
    assert done.stdout.splitlines() == [handled, handled, "True"], done.stderr
    assert done.returncode == -signal.SIGSEGV
