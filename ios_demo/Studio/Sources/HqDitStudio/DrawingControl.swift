// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit

/// What the engine's thread asks after each step: go on, rest, or stop.
final class DrawingControl: @unchecked Sendable {
  private let lock = NSLock()
  private let memory: MemoryGuard
  private let rest: @Sendable (Duration) -> Void
  private var pace: Pace
  private var reason: Notice?

  init(memory: MemoryGuard, pace: Pace, rest: @escaping @Sendable (Duration) -> Void) {
    self.memory = memory
    self.pace = pace
    self.rest = rest
  }

  func set(_ pace: Pace) { lock.withLock { self.pace = pace } }

  /// Why the picture shall not be finished; nil while it shall.
  var stopReason: Notice? { lock.withLock { reason } }

  /// The first reason stays.
  func stop(_ reason: Notice) { lock.withLock { self.reason = self.reason ?? reason } }

  /// Throws ``Stopped`` when the picture shall not be finished.
  func afterStep(_ progress: GenerationProgress) throws {
    if memory.isLow { stop(.lowMemory) }
    let (reason, pace) = lock.withLock { (self.reason, self.pace) }
    if let reason { throw Stopped(reason: reason) }
    if pace == .slow, progress.phase == .step { rest(progress.stepTime) }
  }
}

struct Stopped: Error {
  let reason: Notice
}
