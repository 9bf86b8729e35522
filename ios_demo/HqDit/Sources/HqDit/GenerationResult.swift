// SPDX-License-Identifier: Apache-2.0
import CHqDit

/// A finished generation. The times are sums over all pictures.
public struct GenerationResult: Sendable, Hashable {
  /// One for each seed, in order.
  public let pictures: [Picture]

  /// How often the network ran; a guided step counts twice.
  public let evaluations: Int

  public let denoiseTime: Duration
  public let decodeTime: Duration
  public let totalTime: Duration

  /// Highest memory of the process: its footprint on Apple systems, its resident memory on Linux.
  public let peakMemoryBytes: UInt64

  init(_ result: hqdit_result, pictures: [Picture]) {
    self.pictures = pictures
    evaluations = Int(result.evaluations)
    denoiseTime = .milliseconds(result.denoise_ms)
    decodeTime = .milliseconds(result.decode_ms)
    totalTime = .milliseconds(result.total_ms)
    peakMemoryBytes = result.peak_memory_bytes
  }
}
