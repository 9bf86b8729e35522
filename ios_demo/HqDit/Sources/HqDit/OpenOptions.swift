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

  /// One of these must have signed the bundle, each 64 hexadecimal digits, as "hqdit sign" prints; none asks for no
  /// signature. Needs ``verifySHA256``.
  public var publicKeys: [String]

  public init(
    memoryLimitBytes: UInt64 = 0,
    verifySHA256: Bool = true,
    threads: Int = 0,
    loadMode: LoadMode = .map,
    publicKeys: [String] = []
  ) {
    self.memoryLimitBytes = memoryLimitBytes
    self.verifySHA256 = verifySHA256
    self.threads = threads
    self.loadMode = loadMode
    self.publicKeys = publicKeys
  }

  /// The keys' bytes, one after the other.
  func keyBytes() throws -> [UInt8] {
    try publicKeys.flatMap { key in
      let digits = key.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
      guard digits.count == 64, key.utf8.count == 64 else {
        throw HqDitError.invalidArgument("\"\(key)\" is no public key: it takes 64 hexadecimal digits")
      }
      return stride(from: 0, to: 64, by: 2).map { UInt8(16 * digits[$0] + digits[$0 + 1]) }
    }
  }

  /// How the weights get into memory. The numbers are those of hqdit_load_mode.
  public enum LoadMode: Int32, Sendable, Hashable {
    /// Map the files: fast to open, and the system can drop clean pages, which iOS does not count.
    case map = 0

    /// Read the files: for storage that cannot be mapped.
    case read = 1
  }
}
