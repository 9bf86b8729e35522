// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Once raised, it stays so; from any thread.
final class Flag: @unchecked Sendable {
  private let lock = NSLock()
  private var raised = false

  var isRaised: Bool { lock.withLock { raised } }

  func raise() { lock.withLock { raised = true } }
}
