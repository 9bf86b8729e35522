# SPDX-License-Identifier: Apache-2.0
"""What a bundle can make the engine spend, and what the engine says when the system gives no more."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_model
import torch
from tiny_programs import SPLIT_IMAGE, SPLIT_LATENT, WIDE_IMAGE, WIDE_LATENT

from hqdit_mobile.ops import native
from hqdit_mobile.ops.native import library_path
from hqdit_mobile.runtime.engine import EngineError, InvalidBundleError, MemoryLimitError, Pipeline

needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc or ELF files")

# argv: bundle, memory limit. Prints the error's class and by how many MB the process grew.
OPEN = """
import re, sys
from pathlib import Path
from hqdit_mobile.runtime.engine import EngineError, Pipeline
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
try:
    Pipeline(sys.argv[1] + "/../good").close()
    before = peak()
    Pipeline(sys.argv[1], memory_limit_bytes=int(sys.argv[2])).close()
    print("opened", peak() - before)
except EngineError as error:
    print(type(error).__name__, peak() - before)
"""


def growth(tmp_path, tiny_bundle, manifest_text: str, limit: int = 0) -> tuple[str, int, float]:
    """What opening a bundle with this manifest ends in, the MB that it took, and the seconds."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        shutil.copytree(tiny_bundle, folder, dirs_exist_ok=True)
    (bad / "manifest.json").write_text(manifest_text)
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-I", "-c", OPEN, bad, str(limit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    name, grown = done.stdout.split()
    return name, int(grown), time.monotonic() - start


@pytest.fixture
def manifest(tiny_files) -> dict:
    return copy.deepcopy(tiny_model.make_manifest(tiny_files))


@needs_linux
@pytest.mark.parametrize(("shape", "value"), [("latent_shape", [16, 4096, 4096]), ("image_shape", [3, 16384, 16384])])
@pytest.mark.parametrize(("limit", "error"), [(0, "InvalidBundleError"), (64 << 20, "MemoryLimitError")])
def test_shapes_are_compared_before_memory_is_taken(tmp_path, tiny_bundle, manifest, shape, value, limit, error):
    """They took 5 GB before."""
    manifest["model"][shape] = value
    del manifest["preview"]
    name, grown, _ = growth(tmp_path, tiny_bundle, json.dumps(manifest), limit)
    assert (name, grown < 20) == (error, True), (name, grown)


@needs_linux
@pytest.mark.parametrize(
    "text",
    [
        '{"a":[' + "0," * 1_000_000 + "0]}",
        "[" + "[]," * 600_000 + "0]",
        "{" + ",".join(f'"{i}":0' for i in range(150_000)) + "}",
        "[" + ",".join(f'{{"{i}":1e9}}' for i in range(120_000)) + "]",
        '{"a":"' + "\\u00e9" * 300_000 + '"}',
        "[" * 2_000_000,
    ],
    ids=["numbers", "arrays", "keys", "objects", "escapes", "brackets"],
)
def test_parsing_takes_time_and_memory_of_the_text(tmp_path, tiny_bundle, text):
    """At most ten times the text (and the process's own 3 MB) and 2 s; 16 MB took 811 MB and 40,000 keys 39 s."""
    assert len(text) < 2 << 20
    name, grown, seconds = growth(tmp_path, tiny_bundle, text)
    assert name == "InvalidBundleError" and grown <= 3 + 10 * len(text) / 2**20, grown
    assert seconds < 10  # Python's start included


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{" + ",".join(f'"{i}":0' for i in range(1025)) + "}", "an object with more than 1024 keys"),
        ("[" + "0," * 131_072 + "0]", "more than 131072 values and keys"),
        (" " * (2 << 20) + "{}", "larger than 2097152 bytes"),
        ('{"a\\u0062":1,"ab":2}', "occurs twice"),
    ],
    ids=["keys", "values", "bytes", "the same key"],
)
def test_limits_of_a_manifest(tmp_path, text, message):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InvalidBundleError, match=message):
        Pipeline(tmp_path)


def test_a_map_has_a_largest_size(tmp_path, tiny_files, manifest):
    manifest["model"]["latent_shape"] = [16384, 16384, 16384]
    with pytest.raises(InvalidBundleError, match=r"model\.latent_shape: must hold at most 1073741824 values"):
        Pipeline(tiny_model.write_bundle(tmp_path, tiny_files, manifest))


def test_the_limit_holds_whatever_the_manifest_says(tmp_path, tiny_files, manifest):
    """The picture's own buffers, and the programs' activations, count even if the bundle says that it needs nothing."""
    manifest["memory"] = {"weights_bytes": 0, "arena_bytes": 6208, "peak_bytes": 0}
    bundle = tiny_model.write_bundle(tmp_path, tiny_files, manifest)
    buffers = 4 * (5 * 4 * 8 * 8 + 3 * 16 * 16) + 3 * 8 * 8
    with pytest.raises(MemoryLimitError, match=f"needs about {buffers} bytes"):
        Pipeline(bundle, memory_limit_bytes=buffers - 1)
    with pytest.raises(MemoryLimitError, match=r"programs take \d+ bytes for activations and weights"):
        Pipeline(bundle, memory_limit_bytes=buffers)
    Pipeline(bundle, memory_limit_bytes=200_000).close()


# argv: bundle, memory limit, load mode. Decodes once; prints by how many bytes the process grew.
DECODE = """
import re, sys
from pathlib import Path
import numpy as np
from hqdit_mobile.runtime.engine import Pipeline
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
Pipeline(sys.argv[1] + "/../good").close()
before = peak()
with Pipeline(sys.argv[1], memory_limit_bytes=int(sys.argv[2]), load_mode=sys.argv[3], threads=1) as pipeline:
    pipeline.decode(np.ones(pipeline.latent_shape, np.float32))
print(peak() - before)
"""


@pytest.fixture(scope="module")
def split_bundle(tmp_path_factory, tiny_bundle, tiny_programs) -> Path:
    """With SplitDecoder, and beside it a good one."""
    files = {"transformer.pte": tiny_programs["split_transformer"], "vae_decoder.pte": tiny_programs["split_decoder"]}
    manifest = tiny_model.make_manifest(files)
    manifest["model"] |= {"latent_shape": SPLIT_LATENT, "image_shape": SPLIT_IMAGE}
    manifest["memory"] = {"weights_bytes": 0, "arena_bytes": 8 << 20, "peak_bytes": 0}
    folder = tmp_path_factory.mktemp("split")
    shutil.copytree(tiny_bundle, folder / "good")
    return tiny_model.write_bundle(folder / "bundle", files, tiny_model.without_null_class(manifest))


@needs_linux
@pytest.mark.parametrize("load_mode", ["mmap", "read"])
def test_all_that_programs_take_counts(split_bundle, load_mode):
    """The limit that just lets three graphs of XNNPACK in is what the system measures: their common workspace, the
    activations, and the packed weights of all three."""
    bundle = split_bundle
    own = 4 * (5 * 4 * 32 * 32 + 3 * 64 * 64) + 3 * 32 * 32  # for SPLIT_LATENT and SPLIT_IMAGE
    with pytest.raises(MemoryLimitError, match=r"programs take \d+ bytes for activations and weights") as refused:
        Pipeline(bundle, memory_limit_bytes=8 << 20, load_mode=load_mode)
    need = own + int(re.search(r"take (\d+) bytes", str(refused.value))[1])
    with pytest.raises(MemoryLimitError, match=f"the limit {need - own - 1} "):
        Pipeline(bundle, memory_limit_bytes=need - 1, load_mode=load_mode)
    command = [sys.executable, "-I", "-c", DECODE, bundle, str(need), load_mode]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = int(done.stdout)
    # The pages of one graph of the three are there while XNNPACK packs what they hold.
    passing = (bundle / "vae_decoder.pte").stat().st_size // 3 if load_mode == "mmap" else 0
    assert 0.8 * need < measured < need + passing + (4 << 20), (measured, need)


def test_a_thread_limits_its_workspace():
    qkv = torch.randn(1, 64, 96, generator=torch.Generator().manual_seed(1))
    expected = native.call("attention", [qkv, 2], (1, 64, 32))
    limit = native.library().hqdit_limit_workspace
    limit(1000)
    try:
        with pytest.raises(ValueError, match="memory for the workspace"):
            native.call("attention", [qkv, 2], (1, 64, 32))
        needed = limit(2**64 - 1)
        assert needed > 1000 and limit(needed) == 0
        assert torch.equal(native.call("attention", [qkv, 2], (1, 64, 32)), expected)
    finally:
        limit(2**64 - 1)


# argv: bundle, memory limit.
WORK = """
import sys
import numpy as np
from hqdit_mobile.runtime.engine import MemoryLimitError, Pipeline
with Pipeline(sys.argv[1], memory_limit_bytes=int(sys.argv[2]), threads=1) as pipeline:
    try:
        pipeline.denoise(np.ones(pipeline.latent_shape, np.float32), 1, 1, guided=False)
    except MemoryLimitError as error:
        print(error)
"""


def test_what_operators_work_in_counts(tmp_path, tiny_programs):
    """They say so when they run: the process must not grow before."""
    files = {"transformer.pte": tiny_programs["wide_transformer"], "vae_decoder.pte": tiny_programs["wide_decoder"]}
    manifest = tiny_model.make_manifest(files)
    del manifest["preview"]
    manifest["model"] |= {"latent_shape": WIDE_LATENT, "image_shape": WIDE_IMAGE}
    manifest["memory"] = {"weights_bytes": 0, "arena_bytes": 64 << 20, "peak_bytes": 0}
    bundle = tiny_model.write_bundle(tmp_path / "bundle", files, tiny_model.without_null_class(manifest))
    command = [sys.executable, "-I", "-c", WORK, bundle, str(120 << 20)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "an operator works in" in done.stdout, done.stdout + done.stderr


def test_the_manifest_is_inside_the_bundle(tmp_path, tiny_bundle):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    (bundle / "manifest.json").rename(tmp_path / "manifest.json")
    (bundle / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(InvalidBundleError, match="leads out of the bundle"):
        Pipeline(bundle)


@needs_linux
@pytest.mark.parametrize("load_mode", ["mmap", "read"])
def test_no_descriptors_left_is_no_missing_file(tiny_bundle, load_mode):
    """Every opening fails once for want of a descriptor, and none is taken for a fault of the bundle."""
    script = """
import os, resource, sys
from hqdit_mobile.runtime.engine import EngineError, FileAccessError, Pipeline
Pipeline(sys.argv[1], load_mode=sys.argv[2]).close()
taken, refused = [], 0
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
while True:
    try:
        taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        break
for _ in range(4):
    try:
        Pipeline(sys.argv[1], load_mode=sys.argv[2]).close()
    except FileAccessError as error:
        assert "Too many open files [HQDIT_IO_ERROR]" in str(error), error
        refused += 1
    os.close(taken.pop())
print(refused)
"""
    done = subprocess.run([sys.executable, "-I", "-c", script, tiny_bundle, load_mode], capture_output=True, text=True)
    assert done.returncode == 0 and int(done.stdout) >= 1, done.stderr


@pytest.mark.parametrize("load_mode", ["mmap", "read"])
def test_what_runs_is_what_was_verified(tmp_path, tiny_files, tiny_programs, load_mode):
    """Another program takes the file's place again and again while the bundle is opened: none that opens runs it."""
    bundle = tiny_model.write_bundle(tmp_path / "bundle", tiny_files)
    path = bundle / "vae_decoder.pte"
    good = path.read_bytes()
    with Pipeline(bundle) as pipeline:
        expected = pipeline.decode(np.ones(tiny_model.LATENT, np.float32))

    other = tiny_programs["other_decoder"]
    assert len(other) == len(good)  # the size agrees, as an attacker's would
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            for data in (other, good):
                (tmp_path / "next").write_bytes(data)
                os.replace(tmp_path / "next", path)

    thread = threading.Thread(target=exchange)
    thread.start()
    attempts = opened = 0
    try:
        while attempts < 400 or opened < 20:  # how many open is chance
            attempts += 1
            assert attempts < 100_000, f"{opened} opened"
            try:
                pipeline = Pipeline(bundle, load_mode=load_mode)
            except EngineError:
                continue
            with pipeline:
                opened += 1
                assert np.array_equal(pipeline.decode(np.ones(tiny_model.LATENT, np.float32)), expected)
    finally:
        stop.set()
        thread.join()


@needs_linux
@pytest.mark.parametrize("name", ["hqdit", "hqdit_ops", "hqdit_ort"])
def test_no_thread_local_memory(name):
    """A library that is loaded later gets it at the first use in a thread, and without memory that ends the process."""
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("needs readelf of GNU binutils")
    headers = subprocess.run([readelf, "-lW", library_path(name)], check=True, capture_output=True, text=True).stdout
    assert re.search(r"^ +LOAD ", headers, re.M) and not re.search(r"^ +TLS ", headers, re.M)


# argv: bundle, stride. A process of its own for each point; prints how often each status came, or the signal.
OUT_OF_MEMORY = """
import collections, ctypes, json, os, sys
from hqdit_mobile.runtime import abi
library, shim = abi.library(), ctypes.CDLL(None)
bundle, ends = os.fsencode(sys.argv[1]), collections.Counter()
handle = ctypes.c_void_p()
MANY = 1 << 30
shim.fail_allocation_after(MANY)
assert library.hqdit_open(bundle, None, ctypes.byref(handle)) == 0
points = MANY - shim.fail_allocation_after(-1)
assert library.hqdit_close(handle) == 0
for point in range(0, points, int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        shim.fail_allocation_after(point)
        status = library.hqdit_open(bundle, None, ctypes.byref(handle))
        shim.fail_allocation_after(-1)
        os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ends[library.hqdit_status_name(code).decode() if code >= 0 else f"signal {-code}"] += 1
print(json.dumps(ends))
"""


@needs_linux
def test_lack_of_memory_is_called_that(tmp_path, tiny_bundle):
    """Each allocation of opening a bundle fails once: the process lives, and the bundle is not called damaged."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler (cc or gcc) on the path")
    shim = tmp_path / "failing.so"
    source = Path(__file__).parents[1] / "native" / "failing_allocations.c"
    subprocess.run([compiler, "-O1", "-fPIC", "-shared", source, "-o", shim], check=True)
    command = [sys.executable, "-I", "-c", OUT_OF_MEMORY, tiny_bundle, "3"]
    environment = os.environ | {"LD_PRELOAD": str(shim)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    # Where there is no room for an error's text, nothing else is lost.
    assert set(ends) <= {"HQDIT_OUT_OF_MEMORY", "HQDIT_OK"} and ends["HQDIT_OUT_OF_MEMORY"] > 500, ends
