// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Holds up the engine's thread in its first rest until the test opens it; rests are short from then on.
final class Gate: @unchecked Sendable {
  private let condition = NSCondition()
  private var isOpen = false

  func rest() {
    condition.withLock {
      while !isOpen { condition.wait() }
    }
    Thread.sleep(forTimeInterval: 0.01)
  }

  func open() {
    condition.withLock {
      isOpen = true
      condition.broadcast()
    }
  }
}
