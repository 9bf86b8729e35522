# SPDX-License-Identifier: Apache-2.0
"""Opens ONNX files in ONNX Runtime, with our kernels or without, and so that what runs is what was verified."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hqdit_mobile.ops.native import library_path
from hqdit_mobile.runtime.errors import InvalidBundleError
from hqdit_mobile.runtime.manifest import ModelFile
from hqdit_mobile.runtime.manifest_file import sha256_of

if TYPE_CHECKING:
    from onnxruntime import OrtValue

OLDEST_RUNTIME = (1, 17)
COPY_AGAIN = "copy the bundle again or export it again"
# Where a system shows the descriptors of a process as files: Linux, then macOS.
DESCRIPTORS = (Path("/proc/self/fd"), Path("/dev/fd"))


def open_session(model: Path | bytes, *, portable: bool = False, threads: int = 0) -> Any:
    """Opens an ONNX file of a bundle in ONNX Runtime.

    Args:
        model: the file, or its bytes.
        portable: compute our operators by the function bodies in the file instead of our kernels.
        threads: 0 for one per core.

    Returns:
        An ``onnxruntime.InferenceSession`` on the processor; docs/onnx.md has its inputs and outputs.

    Raises:
        FileNotFoundError: the kernels' library is not built.
        InvalidBundleError: ONNX Runtime is missing or too old, or cannot load the file.
    """
    if isinstance(model, Path):
        return _session(str(model), model.name, {}, portable, threads)
    return _session(model, "the model", {}, portable, threads)


@contextmanager
def open_verified(folder: Path, files: Mapping[str, ModelFile]) -> Iterator[VerifiedFiles]:
    """The files of a bundle by their names in the manifest, open until the context ends. Raises InvalidBundleError if
    one cannot be read, or has another digest than the manifest says."""
    with ExitStack() as stack:
        streams = {}
        for name, entry in files.items():
            path = folder / entry.path
            try:
                streams[name] = stack.enter_context(FileIO(path))
                found = sha256_of(streams[name])
            except OSError as error:
                raise InvalidBundleError(f"{path} cannot be read: {error}; {COPY_AGAIN}") from error
            if found != entry.sha256:
                raise InvalidBundleError(
                    f"{path} has another sha256 than manifest.json says: it was changed or damaged; {COPY_AGAIN}"
                )
        yield VerifiedFiles(files, streams)


class VerifiedFiles:
    """Files that were opened once: their digests, sessions and weights come from the same descriptors, so that no other
    file takes their place in between."""

    def __init__(self, files: Mapping[str, ModelFile], streams: Mapping[str, FileIO]):
        self._files, self._streams = files, streams

    def open_session(self, part: str, *, portable: bool, threads: int) -> Any:
        """As the function of this name, for a network of the bundle. The session needs the descriptors no longer."""
        weights = self._external_weights(part) if f"{part}_data" in self._files else {}
        session = _session(self._source(part), self._files[part].path, weights, portable, threads)
        # Else a provider that fails in a later call makes ONNX Runtime load the file anew.
        session.disable_fallback()
        return session

    def _source(self, part: str) -> str | bytes:
        """What ONNX Runtime reads the graph from: the descriptor, which takes no memory, where it has a name. ONNX
        Runtime looks for no other file then: weights outside the graph have to be given."""
        stream = self._streams[part]
        stream.seek(0)  # on macOS who opens that name reads on from here
        for folder in DESCRIPTORS:
            if folder.is_dir():
                return str(folder / str(stream.fileno()))
        return stream.readall()

    def _external_weights(self, part: str) -> dict[str, OrtValue]:
        """Those in the second file of a network, by their names in the graph. ONNX Runtime would open it by name."""
        import onnx
        from google.protobuf.message import DecodeError
        from onnxruntime import OrtValue

        where, stream = self._files[part].path, self._streams[f"{part}_data"]
        try:
            self._streams[part].seek(0)
            graph = onnx.load_model_from_string(self._streams[part].readall()).graph
            data = mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)
            return {
                tensor.name: OrtValue.ortvalue_from_numpy(self._weight(tensor, data, f"{part}_data"))
                for tensor in graph.initializer
                if tensor.data_location == onnx.TensorProto.EXTERNAL
            }
        except (DecodeError, ValueError, TypeError, KeyError) as error:
            raise InvalidBundleError(f"the weights of {where} cannot be found: {error}; {COPY_AGAIN}") from error

    def _weight(self, tensor: Any, data: mmap.mmap, name: str) -> np.ndarray:
        import onnx

        told = {entry.key: entry.value for entry in tensor.external_data}
        if told["location"] != self._files[name].path:
            raise ValueError(f"{tensor.name!r} is in {told['location']!r}, which manifest.json does not have for it")
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        if kind.isbuiltin != 1:  # a type of numpy itself, as the exporter writes them
            raise ValueError(f"{tensor.name!r} is of type {kind}")
        count = math.prod(tensor.dims)
        return np.frombuffer(data, kind, count, int(told.get("offset", 0))).reshape(tuple(tensor.dims))


def _session(source: str | bytes, name: str, weights: Mapping[str, OrtValue], portable: bool, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise InvalidBundleError(
            f"{name} needs ONNX Runtime: install it with 'pip install hqdit-mobile[onnx]'"
        ) from error
    version = onnxruntime.__version__
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_RUNTIME:
        raise InvalidBundleError(
            f"{name} needs ONNX Runtime {OLDEST_RUNTIME[0]}.{OLDEST_RUNTIME[1]}, this is {version}"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if not portable:
        options.register_custom_ops_library(str(_kernels()))
    try:
        if weights:
            options.add_external_initializers(list(weights), list(weights.values()))
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise InvalidBundleError(
            f"ONNX Runtime {version} cannot load {name}: {error}; copy the whole bundle again, export it again or "
            "update onnxruntime"
        ) from error


def _kernels() -> Path:
    try:
        return library_path("hqdit_ort")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} Or run the portable way, without our kernels (--portable).") from error
