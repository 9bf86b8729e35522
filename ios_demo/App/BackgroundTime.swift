// SPDX-License-Identifier: Apache-2.0
import UIKit

/// The time that the system gives an app to finish something after the user has left it.
@MainActor
final class BackgroundTime {
  /// Yields once, when the time is over.
  let isOver: AsyncStream<Void>
  private let over: AsyncStream<Void>.Continuation
  private var task = UIBackgroundTaskIdentifier.invalid

  init() {
    (isOver, over) = AsyncStream.makeStream(of: Void.self)
    task = UIApplication.shared.beginBackgroundTask(withName: "picture") { [weak self, over] in
      over.yield()
      self?.end()
    }
    if task == .invalid { over.yield() }
  }

  /// Gives back the time that is left. Must be called, or the system ends the app.
  func end() {
    guard task != .invalid else { return }
    UIApplication.shared.endBackgroundTask(task)
    task = .invalid
  }
}
