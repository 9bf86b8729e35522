// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Memory for pictures of one size, one after the other.
final class PixelBuffer {
  let bytes: UnsafeMutablePointer<UInt8>
  let size: Int
  private let width: Int
  private let height: Int

  /// - Throws: ``HqDitError/outOfMemory(_:)`` where the system has no room for so many.
  init(width: Int, height: Int, count: Int) throws {
    let (size, overflow) = (width * height * 3).multipliedReportingOverflow(by: count)
    guard !overflow, let memory = calloc(max(size, 1), 1) else {
      throw HqDitError.outOfMemory("no memory for \(count) pictures of \(width) x \(height)")
    }
    bytes = memory.assumingMemoryBound(to: UInt8.self)
    self.size = size
    self.width = width
    self.height = height
  }

  deinit { free(bytes) }

  func pictures() -> [Picture] {
    let one = width * height * 3
    return stride(from: 0, to: size, by: one).map { start in
      Picture(width: width, height: height, rgb: Data(bytes: bytes + start, count: one))
    }
  }
}
