// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A zip file that the user picked. It comes from a stranger: every number in it may be wrong.
public struct ZipSource: BundleSource {
  private let file: URL

  public init(_ file: URL) { self.file = file }

  public func forEachFile(_ visit: (String, FileContent) throws -> Void) throws {
    let archive = ByteReader(try Data(contentsOf: file, options: .alwaysMapped))
    for entry in try ZipDirectory.entries(of: archive) where !entry.isFolder && !isSystemFile(entry.path) {
      try visit(entry.path) { write in
        let packed = try entry.packed(in: archive)
        var check = ContentCheck(entry: entry)
        func checked(_ piece: Data) throws {
          try check.add(piece)
          try write(piece)
        }
        if entry.isDeflated { try inflateRaw(packed, checked) } else { try checked(packed) }
        try check.finish()
      }
    }
  }
}

/// Numbers of a file, little endian, each looked up within its bounds.
struct ByteReader {
  private let bytes: Data

  init(_ bytes: Data) { self.bytes = bytes }

  var count: Int { bytes.count }

  func data(at offset: Int, count: Int) throws -> Data {
    guard offset >= 0, count >= 0, offset <= bytes.count, count <= bytes.count - offset else {
      throw ImportError("the zip file is cut short or damaged: make it again")
    }
    let start = bytes.startIndex + offset
    return bytes[start..<start + count]
  }

  func number16(at offset: Int) throws -> Int {
    try data(at: offset, count: 2).reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  func number32(at offset: Int) throws -> Int {
    try data(at: offset, count: 4).reversed().reduce(0) { $0 << 8 | Int($1) }
  }
}
