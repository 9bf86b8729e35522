// SPDX-License-Identifier: Apache-2.0
import CHqDit
import Foundation

/// What went wrong; the text is the engine's and names the file, field or value at fault. One kind per hqdit_status, but
/// for a cancelled generation, which throws Swift's `CancellationError`.
public enum HqDitError: Error, Sendable, Hashable {
  /// Another generation is running on this model.
  case busy(String)

  /// A value in the call.
  case invalidArgument(String)

  /// A file, a folder or a label does not exist.
  case notFound(String)

  /// The bundle is damaged, of another schema version or at odds with itself.
  case invalidBundle(String)

  /// The bundle needs more than ``OpenOptions/memoryLimitBytes``.
  case memoryLimit(String)

  /// The system refused memory.
  case outOfMemory(String)

  /// The model runtime failed, or the model returned a value that is not finite.
  case runtimeFailure(String)

  /// The system refused a file that is there; the bundle may be whole.
  case ioError(String)

  /// None of ``OpenOptions/publicKeys`` has signed the bundle.
  case invalidSignature(String)

  /// A fault of the engine.
  case internalFault(String)

  /// ``HqDit/close()`` was called.
  case closed

  /// Throws what `status`, which a call on this thread just returned, stands for.
  static func check(_ status: hqdit_status) throws {
    guard status != HQDIT_OK else { return }
    let message = String(cString: hqdit_last_error())
    switch status {
    case HQDIT_CANCELLED: throw CancellationError()
    case HQDIT_BUSY: throw busy(message)
    case HQDIT_INVALID_ARGUMENT: throw invalidArgument(message)
    case HQDIT_NOT_FOUND: throw notFound(message)
    case HQDIT_INVALID_BUNDLE: throw invalidBundle(message)
    case HQDIT_MEMORY_LIMIT: throw memoryLimit(message)
    case HQDIT_OUT_OF_MEMORY: throw outOfMemory(message)
    case HQDIT_RUNTIME_ERROR: throw runtimeFailure(message)
    case HQDIT_IO_ERROR: throw ioError(message)
    case HQDIT_INVALID_SIGNATURE: throw invalidSignature(message)
    default: throw internalFault(message)
    }
  }
}

extension HqDitError: LocalizedError {
  public var errorDescription: String? {
    switch self {
    case .busy(let message), .invalidArgument(let message), .notFound(let message), .invalidBundle(let message),
      .memoryLimit(let message), .outOfMemory(let message), .runtimeFailure(let message), .ioError(let message),
      .invalidSignature(let message), .internalFault(let message):
      message
    case .closed:
      "the model was closed"
    }
  }
}
