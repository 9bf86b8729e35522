// SPDX-License-Identifier: Apache-2.0
import AppIntents
import HqDitStudio
import UIKit
import UniformTypeIdentifiers

/// "Draw a picture" in Shortcuts and for Siri. The app need not come to the screen.
struct DrawIntent: AppIntent {
  static let title: LocalizedStringResource = "Draw a picture"
  static let description: IntentDescription? = IntentDescription(
    "Draws what you name, on this device. The picture is a PNG file.")

  @Parameter(title: "What") var subject: String

  /// The bits count as an unsigned number.
  @Parameter(title: "Seed") var seed: Int?

  @MainActor
  func perform() async throws -> some IntentResult & ReturnsValue<IntentFile> {
    let studio = Studio.shared
    studio.pace = Device.pace
    let finished = try await studio.picture(of: subject, seed: seed.map { UInt64(bitPattern: Int64($0)) })
    let file = IntentFile(data: try finished.png(), filename: finished.wish.fileName, type: .png)
    // A model that nobody looks at takes no memory.
    if UIApplication.shared.applicationState != .active { await studio.releaseMemory() }
    return .result(value: file)
  }
}

extension ShortcutRefusal: @retroactive CustomLocalizedStringResourceConvertible {
  public var localizedStringResource: LocalizedStringResource {
    switch self {
    case .noModel: "There is no model yet. Open HQ-DiT and import a bundle"
    case .busy: "HQ-DiT is busy. Wait for the picture in the making, or cancel it"
    case .unknown(let name): "The model knows nothing, or several things, that are called \(name)"
    case .stopped(let notice): notice.text
    }
  }
}
