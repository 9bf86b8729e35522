// SPDX-License-Identifier: Apache-2.0

/// Keeps the app below the memory at which the system ends it.
public struct MemoryGuard: Sendable {
  /// What the app itself shall keep when a model is opened.
  public static let reserveBytes: UInt64 = 64 << 20

  /// Below this a picture in the making is stopped.
  public static let floorBytes: UInt64 = 32 << 20

  private let availableBytes: @Sendable () -> UInt64

  /// - Parameter availableBytes: what the app may still take before it is ended; 0 where the system does not say, as in the
  ///   simulator.
  public init(availableBytes: @escaping @Sendable () -> UInt64) { self.availableBytes = availableBytes }

  /// For ``OpenOptions/memoryLimitBytes``: 0, which means none, where the system does not say.
  public var limitBytes: UInt64 {
    let available = availableBytes()
    if available == 0 { return 0 }
    return available > Self.reserveBytes ? available - Self.reserveBytes : 1
  }

  /// Whether the app is about to be ended.
  public var isLow: Bool { (1..<Self.floorBytes).contains(availableBytes()) }
}
