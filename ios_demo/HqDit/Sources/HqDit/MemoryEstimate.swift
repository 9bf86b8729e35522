// SPDX-License-Identifier: Apache-2.0
import CHqDit

/// What a bundle needs, known before it is loaded.
public struct MemoryEstimate: Sendable, Hashable {
  /// Constant data of all model files.
  public let weightsBytes: UInt64

  /// Activations.
  public let arenaBytes: UInt64

  /// The most that drawing one picture is expected to hold, measured at export.
  public let peakBytes: UInt64

  /// Size of the model files on disk.
  public let fileBytes: UInt64

  /// ``peakBytes`` with pictures decoded in tiles; 0 for a bundle that would save nothing by it.
  public let tiledPeakBytes: UInt64

  init(_ memory: hqdit_memory) {
    weightsBytes = memory.weights_bytes
    arenaBytes = memory.arena_bytes
    peakBytes = memory.peak_bytes
    fileBytes = memory.file_bytes
    tiledPeakBytes = memory.tiled_peak_bytes
  }
}
