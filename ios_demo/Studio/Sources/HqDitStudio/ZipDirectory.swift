// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A file as the central directory of a zip archive lists it (PKWARE's APPNOTE 6.3, section 4.3).
struct ZipEntry {
  let path: String
  let isDeflated: Bool
  let checksum: Int
  let packedSize: Int
  let size: Int
  fileprivate let headerOffset: Int

  /// By bytes: to Swift a slash and what is joined to it are one character.
  var isFolder: Bool { path.utf8.last == UInt8(ascii: "/") }

  /// The stored or deflated bytes.
  func packed(in archive: ByteReader) throws -> Data {
    guard try archive.number32(at: headerOffset) == 0x0403_4B50 else {
      throw ImportError("the zip file is damaged: make it again")
    }
    let names = try archive.number16(at: headerOffset + 26) + archive.number16(at: headerOffset + 28)
    return try archive.data(at: headerOffset + 30 + names, count: packedSize)
  }
}

enum ZipDirectory {
  static func entries(of archive: ByteReader) throws -> [ZipEntry] {
    let end = try endRecord(of: archive)
    let count = try archive.number16(at: end + 10)
    var offset = try archive.number32(at: end + 16)
    let isLarge = try end >= 20 && archive.number32(at: end - 20) == 0x0706_4B50
    if isLarge || count == 0xFFFF || offset == 0xFFFF_FFFF {
      throw ImportError("zip64 is not read: import the folder instead")
    }
    if count > BundleImporter.maxFiles * 2 { throw ImportError("\(count) files: this is not a bundle") }
    let entries = try (0..<count).map { _ in
      let (entry, length) = try entry(at: offset, in: archive)
      offset += length
      return entry
    }
    // A directory that lists fewer files than it has would be imported in part.
    guard try offset == end && archive.number32(at: end + 12) == end - archive.number32(at: end + 16) else {
      throw ImportError("the zip file is damaged: make it again")
    }
    return entries
  }

  /// Where the end record is: before a comment of up to 65,535 bytes.
  private static func endRecord(of archive: ByteReader) throws -> Int {
    let size = 22
    for offset in stride(from: archive.count - size, through: max(0, archive.count - size - 0xFFFF), by: -1)
    where try archive.number32(at: offset) == 0x0605_4B50 {
      if try archive.number16(at: offset + 20) == archive.count - offset - size { return offset }
    }
    throw ImportError("this is not a zip file")
  }

  private static func entry(at offset: Int, in archive: ByteReader) throws -> (ZipEntry, length: Int) {
    guard try archive.number32(at: offset) == 0x0201_4B50 else {
      throw ImportError("the zip file is damaged: make it again")
    }
    let nameLength = try archive.number16(at: offset + 28)
    let name = try archive.data(at: offset + 46, count: nameLength)
    guard let path = String(data: name, encoding: .utf8) else {
      throw ImportError("the zip file has a name that is not UTF-8: import the folder instead")
    }
    if try archive.number16(at: offset + 8) & 1 != 0 { throw ImportError("\(path.prefix(200)) is encrypted") }
    let method = try archive.number16(at: offset + 10)
    guard method == 0 || method == 8 else {
      throw ImportError("\(path.prefix(200)) is compressed by method \(method): make the zip file with deflate")
    }
    let entry = ZipEntry(
      path: path,
      isDeflated: method == 8,
      checksum: try archive.number32(at: offset + 16),
      packedSize: try archive.number32(at: offset + 20),
      size: try archive.number32(at: offset + 24),
      headerOffset: try archive.number32(at: offset + 42)
    )
    if entry.isFolder && entry.size > 0 { throw ImportError("\(path.prefix(200)) is a folder with content") }
    let extras = try archive.number16(at: offset + 30) + archive.number16(at: offset + 32)
    return (entry, 46 + nameLength + extras)
  }
}
