// SPDX-License-Identifier: Apache-2.0
import CHqDit
import Foundation

/// Where a generation stands.
public struct GenerationProgress: Sendable, Hashable {
  public let phase: Phase

  /// Which of the request's seeds, from 0.
  public let imageIndex: Int
  public let imageCount: Int

  /// Steps done of this picture, from 1.
  public let step: Int
  public let stepCount: Int

  /// Of the step just done, in training timesteps.
  public let timestep: Int

  /// Whether that step evaluated the null label too.
  public let isGuided: Bool

  /// Time of that step; the first one also loads what it runs.
  public let stepTime: Duration

  /// Since the generation began.
  public let elapsedTime: Duration

  /// Highest memory of the process so far: its footprint on Apple systems, its resident memory on Linux.
  public let peakMemoryBytes: UInt64

  /// The current guess at the finished picture, small; nil when this step has none, and while the picture is decoded.
  public let preview: Picture?

  /// The numbers are those of hqdit_phase.
  public enum Phase: Int32, Sendable, Hashable {
    /// A denoising step is done.
    case step = 0

    /// All steps of a picture are done and its decoding begins.
    case decode = 1
  }

  init(_ progress: hqdit_progress) {
    phase = progress.phase == Phase.decode.rawValue ? .decode : .step
    imageIndex = Int(progress.image_index)
    imageCount = Int(progress.image_count)
    step = Int(progress.step)
    stepCount = Int(progress.step_count)
    timestep = Int(progress.timestep)
    isGuided = progress.guided
    stepTime = .milliseconds(progress.step_ms)
    elapsedTime = .milliseconds(progress.elapsed_ms)
    peakMemoryBytes = progress.peak_memory_bytes
    preview = progress.preview.map { pixels in
      let (width, height) = (Int(progress.preview_width), Int(progress.preview_height))
      return Picture(width: width, height: height, rgb: Data(bytes: pixels, count: width * height * 3))
    }
  }
}
