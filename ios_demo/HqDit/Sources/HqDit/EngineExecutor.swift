// SPDX-License-Identifier: Apache-2.0
import Dispatch

/// Runs the engine on a queue of its own: a call takes seconds, and the concurrency runtime has few threads.
final class EngineExecutor: SerialExecutor {
  private let queue = DispatchQueue(label: "hqdit.engine", qos: .userInitiated)

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  /// Runs `work` on the queue, before there is an actor to run it.
  func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result(catching: work)) }
    }
  }
}
