# SPDX-License-Identifier: Apache-2.0
"""AMX, a matrix unit of some server processors and of no phone's: may this process use it, and how to deny it to every
runtime at once. Linux gives it to a process that asks (arch_prctl(2), ARCH_REQ_XCOMP_PERM)."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from pathlib import Path

ARCH_PRCTL = 158  # the numbers are x86-64's
ARCH_GET_XCOMP_PERM, ARCH_REQ_XCOMP_PERM = 0x1022, 0x1023
XTILEDATA = 18
PR_SET_NO_NEW_PRIVS = 38
SECCOMP, SECCOMP_SET_MODE_FILTER = 317, 1
# For the threads that run already, too, and without mitigations that would slow down what is to be measured.
SECCOMP_FLAGS = 1 << 0 | 1 << 2  # TSYNC, SPEC_ALLOW

AUDIT_ARCH_X86_64 = 0xC000003E
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL_WITH = 0x7FFF0000, 0x00050000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in seccomp_data


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16), ("if_true", ctypes.c_uint8), ("if_false", ctypes.c_uint8), ("k", ctypes.c_uint32),
    )  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def permitted() -> bool | None:
    """Whether a runtime that asks for AMX in this process gets it; None where there is no AMX."""
    if platform.machine() != "x86_64" or "amx_int8" not in cpu_flags():
        return None
    return _libc().syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0


def deny() -> None:
    """From now on, asking for AMX fails in this process and its children, as on a processor without it. There is no way
    back. Does nothing where there is no AMX.

    Call it before a runtime is imported. Raises ValueError if one has got AMX already, OSError if the system refuses.
    """
    if platform.machine() != "x86_64" or "amx_int8" not in cpu_flags():
        return
    libc = _libc()
    mask = ctypes.c_uint64()
    if libc.syscall(ARCH_PRCTL, ARCH_GET_XCOMP_PERM, ctypes.byref(mask)) == 0 and mask.value >> XTILEDATA & 1:
        raise ValueError("--no-amx: a library of this process has AMX already, and it cannot be taken back")
    steps = [
        (LOAD_WORD, 0, 0, ARCHITECTURE), (JUMP_IF_EQUAL, 0, 5, AUDIT_ARCH_X86_64),
        (LOAD_WORD, 0, 0, NUMBER), (JUMP_IF_EQUAL, 0, 3, ARCH_PRCTL),
        (LOAD_WORD, 0, 0, FIRST_ARGUMENT), (JUMP_IF_EQUAL, 0, 1, ARCH_REQ_XCOMP_PERM),
        (RETURN, 0, 0, FAIL_WITH | errno.EPERM), (RETURN, 0, 0, ALLOW),
    ]  # fmt: skip
    program = _Program(len(steps), (_Instruction * len(steps))(*(_Instruction(*step) for step in steps)))
    if (
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        or libc.syscall(SECCOMP, SECCOMP_SET_MODE_FILTER, SECCOMP_FLAGS, ctypes.byref(program)) != 0
    ):
        code = ctypes.get_errno()
        raise OSError(code, f"--no-amx: the system refuses the filter of system calls: {os.strerror(code)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def cpu_flags() -> list[str]:
    """What the kernel found (the names of /proc/cpuinfo), whatever CPUID answers in this process; empty elsewhere."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.split() for line in lines if line.startswith("flags")), [])
