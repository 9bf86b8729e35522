// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import Foundation
  import Glibc
  import Testing

  @testable import HqDit

  /// What the engine says when the system gives it no more. The limits are the process's, and hold for one call each.
  @Suite struct LimitTests {
    @Test func noMoreFiles() async throws {
      await expect("ioError", "Too many open files") {
        try withNone(of: RLIMIT_NOFILE) { _ = try HqDit.estimate(bundle: tiny) }
      }
      await expect("ioError", "Too many open files") {
        try withNone(of: RLIMIT_NOFILE) { _ = try Engine(bundle: tiny, options: OpenOptions(threads: 1)) }
      }
      _ = try await openTiny()
    }

    /// Small pieces of memory are there; the files cannot be mapped.
    @Test func noMoreMemory() async throws {
      let options = OpenOptions(verifySHA256: false, threads: 1)
      await expect("outOfMemory", "memory") {
        try withNone(of: RLIMIT_AS) { _ = try Engine(bundle: tiny, options: options) }
      }
      _ = try await openTiny()
    }

    private func withNone(of resource: __rlimit_resource, _ action: () throws -> Void) throws {
      let number = __rlimit_resource_t(resource.rawValue)
      var limits = rlimit()
      try #require(getrlimit(number, &limits) == 0)
      var none = limits
      none.rlim_cur = 0
      try #require(setrlimit(number, &none) == 0)
      defer { setrlimit(number, &limits) }
      try action()
    }
  }
#endif
