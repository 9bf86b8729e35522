// SPDX-License-Identifier: Apache-2.0
import CHqDit

/// What an opened model is. The defaults are the bundle's and stand for every nil in a ``GenerationRequest``.
public struct ModelInfo: Sendable, Hashable {
  public let name: String

  /// The platform it was exported for: "android", "ios" or "desktop".
  public let target: String

  public let imageWidth: Int
  public let imageHeight: Int

  /// The name of every class; its index is the label.
  public let labels: [String]

  /// The label that stands for "no class"; nil for a model that was trained without it and cannot be guided.
  public let nullLabel: Int?

  public let numTrainTimesteps: Int

  /// Whether ``GenerationRequest/previewInterval`` may be set.
  public let hasPreview: Bool

  /// What ``GenerationRequest/scheduler`` may be.
  public let schedulers: [GenerationRequest.Scheduler]

  public let defaultScheduler: GenerationRequest.Scheduler
  public let defaultSteps: Int
  public let defaultGuidanceScale: Float

  /// Noise levels, within 0 (data) to 1 (noise), at which guidance is used.
  public let defaultGuidanceInterval: ClosedRange<Float>

  /// Whether the memory limit made this model decode in tiles.
  public let decodesTiled: Bool

  /// The classes that `name` means (``LabelSearch``): one where it is clear, several or none where it is not.
  public func findLabel(_ name: String) -> [Int] { LabelSearch(labels).find(name) }

  /// Up to five classes to offer where ``findLabel(_:)`` finds none, the nearest first.
  public func nearestLabels(_ name: String) -> [Int] { LabelSearch(labels).nearest(name) }

  init(_ info: hqdit_info, labels: [String]) throws {
    guard let scheduler = GenerationRequest.Scheduler(rawValue: info.default_scheduler) else {
      throw HqDitError.internalFault("scheduler \(info.default_scheduler) is newer than this package")
    }
    name = String(cString: info.name)
    target = String(cString: info.target)
    imageWidth = Int(info.image_width)
    imageHeight = Int(info.image_height)
    self.labels = labels
    nullLabel = info.null_label < 0 ? nil : Int(info.null_label)
    numTrainTimesteps = Int(info.num_train_timesteps)
    hasPreview = info.has_preview
    schedulers = GenerationRequest.Scheduler.allCases.filter { info.schedulers >> $0.rawValue & 1 == 1 }
    defaultScheduler = scheduler
    defaultSteps = Int(info.default_steps)
    defaultGuidanceScale = info.default_guidance_scale
    defaultGuidanceInterval = info.default_guidance_low...info.default_guidance_high
    decodesTiled = info.decodes_tiled
  }
}
