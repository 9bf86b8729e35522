// SPDX-License-Identifier: Apache-2.0

/// How to open a bundle.
public struct OpenOptions: Sendable, Hashable {
  /// Decode in tiles if the bundle's ``MemoryEstimate/peakBytes`` is higher, which takes longer; refuse it, before
  /// loading, if ``MemoryEstimate/tiledPeakBytes`` is higher, too; 0 for no limit.
  public var memoryLimitBytes: UInt64

  /// Compare each file with the manifest's hash first (about 2 ms per MB); sizes always are.
  public var verifySHA256: Bool

  /// 0: one for each performance core; 1: the calling thread alone; more: that many in the process.
  public var threads: Int

  public var loadMode: LoadMode

  public init(
    memoryLimitBytes: UInt64 = 0,
    verifySHA256: Bool = true,
    threads: Int = 0,
    loadMode: LoadMode = .map
  ) {
    self.memoryLimitBytes = memoryLimitBytes
    self.verifySHA256 = verifySHA256
    self.threads = threads
    self.loadMode = loadMode
  }

  /// How the weights get into memory. The numbers are those of hqdit_load_mode.
  public enum LoadMode: Int32, Sendable, Hashable {
    /// Map the files: fast to open, and the system can drop clean pages, which iOS does not count.
    case map = 0

    /// Read the files: for storage that cannot be mapped.
    case read = 1
  }
}
