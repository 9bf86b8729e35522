# SPDX-License-Identifier: Apache-2.0
"""Opens a bundle with the runtime that it was made for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hqdit_mobile.runtime.engine import InvalidArgumentError, Pipeline
from hqdit_mobile.runtime.manifest_file import read_manifest
from hqdit_mobile.runtime.onnx_pipeline import OnnxPipeline


def open_bundle(
    bundle: Path,
    *,
    threads: int = 0,
    portable: bool = False,
    memory_limit_bytes: int = 0,
    public_keys: Sequence[str] = (),
) -> Pipeline | OnnxPipeline:
    """Opens a bundle with the runtime that its manifest names.

    Args:
        bundle: the folder that ``hqdit-export`` wrote.
        threads: 0 for one per core.
        portable: an ONNX bundle without our kernels.
        memory_limit_bytes: as ``Pipeline`` has it; 0 for none.
        public_keys: as ``Pipeline`` has them.

    Returns:
        The open pipeline, a context manager.

    Raises:
        BundleError: the manifest or a file is missing or damaged; the message names it.
        EngineError: the bundle cannot be opened so; the message says why.
    """
    if read_manifest(bundle).runtime == "onnxruntime":
        if memory_limit_bytes:
            raise InvalidArgumentError(f"{bundle} is an ONNX bundle: ONNX Runtime knows no memory limit")
        return OnnxPipeline(bundle, threads=threads, portable=portable, public_keys=public_keys)
    if portable:
        raise InvalidArgumentError(f"{bundle} is no ONNX bundle: only those have a portable way to run")
    return Pipeline(bundle, threads=threads, memory_limit_bytes=memory_limit_bytes, public_keys=public_keys)
