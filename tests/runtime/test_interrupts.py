# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while drawing, closing while others draw: with real signals to real processes, and in real threads."""

import gc
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tiny_model

from hqdit_mobile.runtime import abi
from hqdit_mobile.runtime.engine import BusyError, EngineError, InvalidArgumentError, Pipeline

HQDIT = Path(sys.executable).parent / "hqdit"
# Draws for ever, picture after picture: the process ends by SIGINT only, or the test's time limit.
DRAW = """
import signal, sys, threading
from hqdit_mobile.runtime.engine import Pipeline
before = signal.getsignal(signal.SIGINT)
with Pipeline(sys.argv[1], threads=1) as pipeline:
    steps = 0
    def progress(update):
        global steps
        steps += 1
        if update.step == 3 and sys.argv[2] == "signal-in-callback":
            signal.raise_signal(signal.SIGINT)
    print("drawing", flush=True)
    try:
        pipeline.generate_batch(1, range(1000), steps=1000, progress=progress if sys.argv[2] != "none" else None)
    except KeyboardInterrupt:
        assert signal.getsignal(signal.SIGINT) is before
        assert sys.argv[2] != "signal-in-callback" or steps == 3, steps
        pipeline.generate(1, steps=2)
        print("stopped", flush=True)
"""


@pytest.mark.parametrize("progress", ["none", "counting", "signal-in-callback"])
def test_ctrl_c_stops_a_drawing(tiny_bundle, progress):
    command = [sys.executable, "-I", "-c", DRAW, tiny_bundle, progress]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    expected = "drawing\nstopped\n"
    if progress != "signal-in-callback":  # which needs no waiting, and what readline() reads ahead is lost
        assert process.stdout.readline() == "drawing\n"
        expected = "stopped\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == (expected, "", 0)


def test_ctrl_c_is_never_lost(tiny_bundle):
    """At the entry of the callback it used to be: there most of the signals of a short step arrive."""
    script = f"{DRAW}\nsys.exit(0)"
    for _ in range(5):
        command = [sys.executable, "-I", "-c", script, tiny_bundle, "counting"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "drawing\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (out, err, process.returncode) == ("stopped\n", "", 0)


def test_ctrl_c_in_the_command(tiny_bundle, tmp_path):
    """The picture goes to a pipe that nobody reads, so the command is still there when the signal comes."""
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    command = [HQDIT, "sample", tiny_bundle, "--label", "1", "--steps", "1000", "-o", pipe]
    for delay in (0.2, 0.4, 1.4):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=20)[1]
        assert process.returncode in (130, -signal.SIGINT), err  # the latter while Python itself starts
        said = ("Stopped; nothing was written", "Stopped; the command had not begun")
        assert process.returncode < 0 or any(text in err for text in said)
        assert list(tmp_path.iterdir()) == [pipe] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_other_handlers_keep_their_meaning(tiny_bundle):
    """A handler that only notes the signal does not stop a drawing; one that raises does, with what it raised."""
    seen: list[int] = []

    def interrupt(update):
        if update.phase == "step" and update.step == 2:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with Pipeline(tiny_bundle) as pipeline:
            assert pipeline.generate_batch(1, [1], steps=5, guidance_scale=1.0, progress=interrupt).evaluations == 5
            assert seen == [signal.SIGINT]

            def fail(number, frame):
                raise LookupError("mine")

            signal.signal(signal.SIGINT, fail)
            with pytest.raises(LookupError, match="mine"):
                pipeline.generate(1, steps=5, progress=interrupt)
            assert signal.getsignal(signal.SIGINT) is fail
    finally:
        signal.signal(signal.SIGINT, before)


def test_close_while_others_begin_calls(tiny_bundle):
    """In a process of its own, to see a crash: this was a use after free."""
    script = """
import sys, threading, time
from hqdit_mobile.runtime.engine import BusyError, InvalidArgumentError, Pipeline
def draw(pipeline, ends):
    while True:
        try:
            pipeline.generate(1, steps=1)
        except BusyError:
            time.sleep(0.0001)  # or the process does little else than try again
        except InvalidArgumentError as error:
            ends.append(str(error))
            return
for _ in range(12):
    pipeline, ends = Pipeline(sys.argv[1], threads=1), []
    workers = [threading.Thread(target=draw, args=(pipeline, ends)) for _ in range(3)]
    for worker in workers: worker.start()
    while True:
        try:
            pipeline.close()
            break
        except BusyError:
            time.sleep(0.0001)
    for worker in workers: worker.join()
    assert len(ends) == 3 and all("closed" in end for end in ends), ends
"""
    done = subprocess.run([sys.executable, "-I", "-c", script, tiny_bundle], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr)


def test_a_forgotten_pipeline_is_closed(tiny_bundle, monkeypatch):
    closed = []
    library = abi.library()
    close = library.hqdit_close
    monkeypatch.setattr(library, "hqdit_close", lambda handle: closed.append(handle.value) or close(handle))
    pipeline = Pipeline(tiny_bundle)
    del pipeline
    gc.collect()
    assert len(closed) == 1
    with Pipeline(tiny_bundle) as pipeline:
        pipeline.close()
    assert len(closed) == 2


def test_a_pipeline_that_cannot_tell_what_it_is_is_closed(tiny_bundle, monkeypatch):
    closed = []
    library = abi.library()
    close = library.hqdit_close
    monkeypatch.setattr(library, "hqdit_close", lambda handle: closed.append(handle.value) or close(handle))
    monkeypatch.setattr(library, "hqdit_get_info", lambda handle, info: 7)
    with pytest.raises(EngineError):
        Pipeline(tiny_bundle)
    assert len(closed) == 1


def test_close_waits_for_no_call(tiny_bundle):
    pipeline = Pipeline(tiny_bundle)
    inside, go_on = threading.Event(), threading.Event()

    def wait(update):
        inside.set()
        return go_on.wait(30)

    worker = threading.Thread(target=pipeline.generate, args=(1,), kwargs={"progress": wait, "steps": 1})
    worker.start()
    assert inside.wait(30)
    with pytest.raises(BusyError):
        pipeline.close()
    go_on.set()
    worker.join(30)
    pipeline.close()
    pipeline.close()
    with pytest.raises(InvalidArgumentError, match="closed"):
        pipeline.decode(tiny_model.torch.zeros(tiny_model.LATENT).numpy())
