// SPDX-License-Identifier: Apache-2.0
import HqDit

extension Studio {
  /// Draws what `name` means, with the model's own settings: for a shortcut, with the app on the screen or not.
  ///
  /// - Parameters:
  ///   - name: a class, or a subject, which is drawn in its first style.
  ///   - seed: nil for one by chance.
  /// - Throws: ``ShortcutRefusal``; `CancellationError` when the task was cancelled.
  public func picture(of name: String, seed: UInt64? = nil) async throws -> Finished {
    await load()
    guard let model else { throw ShortcutRefusal.noModel }
    guard stage == .ready else { throw ShortcutRefusal.busy }
    guard let (subject, style) = model.catalog.find(name) else { throw ShortcutRefusal.unknown(name) }
    let wish = Wish(
      subject: subject, style: style, seed: seed ?? .random(in: 0..<1_000_000), steps: model.info.defaultSteps,
      guidanceScale: model.info.defaultGuidanceScale)
    let isDrawn = await draw(wish, seeds: [wish.seed])
    if isDrawn, let picture = finished.first { return picture }
    if notice == .cancelled { throw CancellationError() }
    throw notice.map(ShortcutRefusal.stopped) ?? .busy
  }
}

/// Why a shortcut has no picture.
public enum ShortcutRefusal: Error, Sendable, Hashable {
  case noModel

  /// The app is drawing, or another model is being imported.
  case busy

  /// No class, or several, are called so.
  case unknown(String)

  /// The notice says why.
  case stopped(Notice)
}
