// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit

/// What the app is doing.
public enum Stage: Sendable, Hashable {
  case loading
  case noBundle
  case ready
  case drawing
}

/// A model that can draw, as the screen needs to know it.
public struct LoadedModel: Sendable, Hashable {
  public let info: ModelInfo
  public let memory: MemoryEstimate
  public let catalog: LabelCatalog

  /// How long opening it took: the files are mapped, and compared with their hashes.
  public let openTime: Duration

  /// The text of the bundle's model card, with the licences; nil if it has none.
  public let card: String?
}

/// Pictures in the making, one for each seed.
public struct Drawing: Sendable, Hashable {
  public let wishes: [Wish]
  public internal(set) var progress: GenerationProgress?

  /// The latest preview of each picture.
  public internal(set) var previews: [Picture?]

  init(_ wishes: [Wish]) {
    self.wishes = wishes
    previews = wishes.map { _ in nil }
  }

  mutating func show(_ progress: GenerationProgress) {
    self.progress = progress
    if let preview = progress.preview { previews[progress.imageIndex] = preview }
  }

  /// Share of all steps that are done, 0 to 1.
  public var fraction: Double {
    guard let progress else { return 0 }
    let done = progress.imageIndex * progress.stepCount + progress.step
    return Double(done) / Double(progress.imageCount * progress.stepCount)
  }
}

/// A finished picture.
public struct Finished: Sendable, Hashable, Identifiable {
  public let wish: Wish
  public let picture: Picture
  public let model: String

  /// Where the picture is kept; nil if that failed.
  public internal(set) var file: URL?

  public var id: Wish { wish }

  /// As a PNG file that knows its settings.
  public func png() throws -> Data { try PictureFile.encode(picture, wish: wish, model: model) }
}

/// What a phone engineer looks for.
public struct Numbers: Sendable, Hashable {
  public let stepTime: Duration

  /// From the tap to the first picture, opening the model included where it was closed.
  public let firstPictureTime: Duration
  public let peakMemoryBytes: UInt64
}

/// A word to the user.
public enum Notice: Sendable, Hashable {
  /// The text says what to do.
  case problem(String)
  case cancelled
  case imported
  case slow
  case tooHot
  case lowMemory
  case leftApp
}
