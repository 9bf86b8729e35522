# SPDX-License-Identifier: Apache-2.0
"""Opens and draws with changed bundles whose digests agree, as a stranger's have them, and counts how it ends.

    python -I tests/fuzz/engine_mutants.py BUNDLE COUNT [SEED [FIRST]]

Of the mutants of programs, half have flipped bits anywhere; half have another number somewhere in the tables or in one
of XNNPACK's graphs. One mutant in sixteen is of the manifest. Each is opened and, if it passes the checks, runs both of
the transformer's methods and a decode under the manifest's own memory limit. What ends the process, takes more than 2 s
of its CPU time, or more memory than the limit and 64 MB, is counted and named SEED-NUMBER; the next process goes on
behind it. CPU time, so that a busy machine makes no difference.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
from pathlib import Path

SLOW_SECONDS = 2.0
SPARE_BYTES = 64 << 20  # beyond the limit: libraries, the heap, what the runtimes do not count
MUTANTS_A_PROCESS = 20_000
PROGRAMS = ("transformer.pte", "vae_decoder.pte")
MANIFEST = "manifest.json"


def numbers(data: bytes, start: int, size: int) -> list[tuple[int, int]]:
    """(offset, bytes) of what can be reached from the flatbuffer that begins at ``start``, whatever its schema."""
    found: list[tuple[int, int]] = []
    seen: set[int] = set()
    end = start + size

    def read(format: str, at: int) -> int:
        return struct.unpack_from(format, data, at)[0] if start <= at <= end - struct.calcsize(format) else 0

    def table(at: int, depth: int) -> None:
        if depth > 14 or at in seen or not start <= at < end - 4:
            return
        seen.add(at)
        fields = at - read("<i", at)
        count, whole = read("<H", fields), read("<H", fields + 2)
        if not (4 <= count <= 256 and count % 2 == 0 and 4 <= whole <= end - at and start <= fields < end):
            return
        for entry in range(4, count, 2):
            within = read("<H", fields + entry)
            if not 4 <= within < whole:
                continue
            found.append((at + within, 1 if within % 4 else 4))
            if within % 4 == 0:
                vector = at + within + read("<I", at + within)
                table(vector, depth + 1)
                items = read("<I", vector)
                if 0 < items <= 4096 and vector + 4 + 4 * items <= end:
                    for place in range(vector + 4, vector + 4 + 4 * items, 4):
                        found.append((place, 4))
                        table(place + read("<I", place), depth + 1)

    table(start + read("<I", start), 0)
    return found


def places(data: bytes) -> list[list[tuple[int, int]]]:
    """Of the program and of each of XNNPACK's graphs."""
    program_bytes = struct.unpack_from("<Q", data, 16)[0]
    groups = [numbers(data, 0, program_bytes)]
    for match in re.finditer(b"XH00", data[program_bytes:]):
        header = program_bytes + match.start() - 4
        offset, size = struct.unpack_from("<II", data, header + 10)
        groups.append(numbers(data, header + offset, size))
    return [group for group in groups if group]


def change_bits(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice([1, 1, 4, 16])):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def change_numbers(data: bytearray, groups: list[list[tuple[int, int]]], draw: random.Random) -> None:
    group = groups[0] if draw.random() < 0.5 else draw.choice(groups)
    for _ in range(draw.choice([1, 1, 2])):
        at, width = draw.choice(group)
        old = int.from_bytes(data[at : at + width], "little")
        twin, twin_width = draw.choice(group)
        new = draw.choice(
            [0, 1, 2, 3, 16, 255, old + 1, old - 1, old * 2, old // 2, old + 4, 2**31 - 1, 2**31, 2**32 - 1, 1 << 20]
            + [int.from_bytes(data[twin : twin + twin_width], "little")] * 6
        )
        data[at : at + width] = (new % 2 ** (8 * width)).to_bytes(width, "little")


def change_json(text: bytes, draw: random.Random) -> bytes:
    """A number or a text becomes another."""
    found = draw.choice(list(re.finditer(rb'-?\d[\d.eE+-]*|"[^"]*"|true|false', text)))
    number = draw.choice([0, -1, 1, 2, 255, 4096, 65537, 2**31 - 1, 2**31, 2**63, 1e300, 1e-320, 0.5])
    twin = draw.choice(list(re.finditer(rb'"[^"]*"', text))).group()
    new = draw.choice([str(number).encode()] * 3 + [b"null", b"[]", b"{}", b"true", b'""', twin, twin])
    return text[: found.start()] + new + text[found.end() :]


class Mutants:
    """Number n of a seed is always the same one."""

    def __init__(self, bundle: Path, seed: int):
        self.files = {name: (bundle / name).read_bytes() for name in (*PROGRAMS, MANIFEST)}
        self.groups = {name: places(self.files[name]) for name in PROGRAMS}
        self.seed = seed

    def make(self, number: int) -> tuple[str, bytes]:
        """The name of the file that changes, and what it becomes."""
        draw = random.Random(self.seed << 40 | number)
        name = MANIFEST if draw.randrange(16) == 0 else draw.choice(PROGRAMS)
        if name == MANIFEST:
            return name, change_json(self.files[name], draw)
        data = bytearray(self.files[name])
        if draw.random() < 0.5:
            change_bits(data, draw)
        else:
            change_numbers(data, self.groups[name], draw)
        return name, bytes(data)


class Attempt:
    """Opens a bundle and draws with it, by the C interface: Python's own work would take as long as the engine's."""

    def __init__(self, bundle: Path, limit: int):
        from hqdit_mobile.runtime import abi

        self.abi, self.library, self.bundle = abi, abi.library(), os.fsencode(bundle)
        self.options = abi.OpenOptions()
        self.library.hqdit_open_options_init(self.options, ctypes.sizeof(self.options))
        self.options.threads, self.options.verify_sha256, self.options.memory_limit_bytes = 1, False, limit
        self.seeds, self.floats = (ctypes.c_uint64 * 1)(3), (ctypes.c_float * (1 << 20))()
        self.pixels = ctypes.create_string_buffer(1 << 22)

    def names(self) -> list[str]:
        """Of the results of run(): what hqdit_status_name() says, for success "drew"."""
        names = [self.library.hqdit_status_name(status).decode().removeprefix("HQDIT_") for status in range(11)]
        return ["drew", *names[1:]]

    def run(self, load_mode: int) -> int:
        """The first status that is not HQDIT_OK, else that."""
        handle = ctypes.c_void_p()
        self.options.load_mode = load_mode
        status: int = self.library.hqdit_open(self.bundle, self.options, ctypes.byref(handle))
        if status == 0:
            status = self._generate(handle) or self._denoise(handle)
            self.library.hqdit_close(handle)
        return status

    def _generate(self, handle: ctypes.c_void_p) -> int:
        request, result = self.abi.Request(), self.abi.Result()
        self.library.hqdit_request_init(handle, request, ctypes.sizeof(request))
        request.label, request.seeds, request.seed_count, request.steps = 0, self.seeds, 1, 1
        self.library.hqdit_result_init(result, ctypes.sizeof(result))
        result.rgb, result.rgb_bytes = ctypes.addressof(self.pixels), len(self.pixels)
        status: int = self.library.hqdit_generate(handle, request, result)
        return status

    def _denoise(self, handle: ctypes.c_void_p) -> int:
        info = self.abi.Info(struct_size=ctypes.sizeof(self.abi.Info))
        self.library.hqdit_get_info(handle, info)
        count = info.latent_channels * info.latent_height * info.latent_width
        floats = ctypes.addressof(self.floats)
        status: int = self.library.hqdit_denoise(handle, floats, 0.5, 0, False, floats + 4 * count, count)
        return status


class Tally:
    """In memory that parent and child share: the next number, and how often each name came."""

    def __init__(self, names: list[str], first: int):
        self.names = names
        self.values = memoryview(mmap.mmap(-1, 8 * (1 + len(names)))).cast("Q")
        self.values[0] = first

    def add(self, name: str) -> None:
        self.values[1 + self.names.index(name)] += 1

    def __str__(self) -> str:
        counts = {name: self.values[1 + i] for i, name in enumerate(self.names)}
        return json.dumps(
            {name: count for name, count in counts.items() if count or name in ("slow", "DIED", "memory")}
        )


def work(mutants: Mutants, attempt: Attempt, copy: Path, tally: Tally, end: int) -> None:
    """In a process of its own, which a mutant may end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # the runtime's log
    descriptors = {name: os.open(copy / name, os.O_RDWR) for name in mutants.files}

    def put(name: str, data: bytes) -> None:
        os.pwrite(descriptors[name], data, 0)
        os.ftruncate(descriptors[name], len(data))

    for name, data in mutants.files.items():
        put(name, data)
    assert attempt.run(0) == attempt.run(1) == 0, "the bundle itself does not draw"
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + attempt.options.memory_limit_bytes + SPARE_BYTES
    for number in range(tally.values[0], end):
        name, data = mutants.make(number)
        put(name, data)
        signal.setitimer(signal.ITIMER_PROF, SLOW_SECONDS)
        status = attempt.run(number % 2)
        signal.setitimer(signal.ITIMER_PROF, 0)
        put(name, mutants.files[name])
        tally.add(tally.names[status])
        tally.values[0] = number + 1
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > most:
            tally.add("memory")
            print(f"memory: {mutants.seed}-{number}", flush=True)
            return


def main() -> None:
    bundle, count = Path(sys.argv[1]), int(sys.argv[2])
    seed, first = int((sys.argv[3:] or ["1"])[0]), int((sys.argv[4:] or ["0"])[0])
    mutants = Mutants(bundle, seed)
    memory = json.loads(mutants.files[MANIFEST])["memory"]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        copy = Path(folder) / "bundle"
        shutil.copytree(bundle, copy)
        attempt = Attempt(copy, max(memory["peak_bytes"], memory["arena_bytes"]))
        tally = Tally([*attempt.names(), "slow", "memory", "DIED"], first)
        while (begun := tally.values[0]) < first + count:
            child = os.fork()
            if child == 0:
                failed = 1
                try:
                    work(mutants, attempt, copy, tally, min(first + count, begun + MUTANTS_A_PROCESS))
                    failed = 0
                finally:
                    os._exit(failed)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code > 0:
                sys.exit("a process could not begin, or the driver itself failed")
            if code < 0:
                slow = -code == signal.SIGPROF
                tally.add("slow" if slow else "DIED")
                print(f"{'slow' if slow else signal.Signals(-code).name}: {seed}-{tally.values[0]}", flush=True)
                tally.values[0] += 1
            print(tally, flush=True)


if __name__ == "__main__":
    main()
