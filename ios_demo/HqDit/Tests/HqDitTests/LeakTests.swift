// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import Foundation
  import HqDit
  import Testing

  /// Linux tells of memory, files and threads in /proc.
  @Suite struct LeakTests {
    @Test func openingDrawingAndClosingLeavesNothing() async throws {
      for _ in 0..<300 { try await cycle() }
      let before = try usage()
      for _ in 0..<200 { try await cycle() }
      let after = try usage()
      #expect(after.files == before.files && after.threads <= before.threads + 4)
      // The allocator's own pages are there after the first cycles. A pipeline kept each time would be 40 MB: its arena
      // alone takes 200 kB.
      #expect(after.pages - before.pages < 256, "\(after.pages - before.pages) pages more")
    }

    private func cycle() async throws {
      let model = try await openTiny()
      _ = try await model.generate(request(steps: 2, previewInterval: 1)) { _ in }
      await model.close()
    }

    private func usage() throws -> (pages: Int, files: Int, threads: Int) {
      let memory = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
      let manager = FileManager.default
      return (
        try #require(Int(memory[1])), try manager.contentsOfDirectory(atPath: "/proc/self/fd").count,
        try manager.contentsOfDirectory(atPath: "/proc/self/task").count
      )
    }
  }
#endif
