// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Holds up the engine's thread in a progress report until the test opens it.
final class Gate: @unchecked Sendable {
  private let condition = NSCondition()
  private var hasArrived = false
  private var isOpen = false

  /// Called by the engine's thread.
  func arriveAndWait() {
    condition.lock()
    hasArrived = true
    while !isOpen { condition.wait() }
    condition.unlock()
  }

  func open() {
    condition.lock()
    isOpen = true
    condition.broadcast()
    condition.unlock()
  }

  /// Returns once the engine's thread waits.
  func arrival() async {
    while !condition.withLock({ hasArrived }) { try? await Task.sleep(for: .milliseconds(2)) }
  }
}
