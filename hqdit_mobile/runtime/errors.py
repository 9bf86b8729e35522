# SPDX-License-Identifier: Apache-2.0
"""The exceptions of the engine and of the ONNX pipeline, one for each kind of status in hqdit.h."""

from __future__ import annotations


class EngineError(RuntimeError):
    """A call that the engine refused or could not finish; the text is the engine's."""


class CancelledError(EngineError):
    """The progress callback asked to stop."""


class BusyError(EngineError):
    """Another call is running on this pipeline."""


class InvalidArgumentError(EngineError, ValueError):
    """A value is out of range."""


class NotFoundError(EngineError, LookupError):
    """A file, folder or label does not exist."""


class InvalidBundleError(EngineError):
    """The bundle is damaged, of another schema version or at odds with itself."""


class MemoryLimitError(EngineError):
    """The bundle needs more memory than the limit allows."""


class OutOfMemoryError(EngineError, MemoryError):
    """The system refused memory."""


class FileAccessError(EngineError):
    """The system refused a file that is there, for the reason in the text; the bundle may be whole."""


class SignatureError(EngineError):
    """None of the public keys that were asked for has signed the bundle."""


OF_STATUS: dict[int, type[EngineError]] = {
    1: CancelledError,
    2: BusyError,
    3: InvalidArgumentError,
    4: NotFoundError,
    5: InvalidBundleError,
    6: MemoryLimitError,
    7: OutOfMemoryError,
    10: FileAccessError,
    11: SignatureError,
}
