// SPDX-License-Identifier: Apache-2.0

/// What ``HqDit/events(_:)`` gives.
public enum GenerationEvent: Sendable, Hashable {
  /// A step is done.
  case step(GenerationProgress)

  /// The last event.
  case done(GenerationResult)
}

extension HqDit {
  /// ``generate(_:onProgress:)`` as a stream, which begins to draw at once.
  ///
  /// Ending the iteration, or cancelling its task, stops the engine within one step. A slow reader does not hold it up.
  public nonisolated func events(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error> {
    AsyncThrowingStream { continuation in
      let drawing = Task {
        do {
          let result = try await generate(request) { continuation.yield(.step($0)) }
          continuation.yield(.done(result))
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in drawing.cancel() }
    }
  }
}
