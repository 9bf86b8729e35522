// SPDX-License-Identifier: Apache-2.0
import CZlib
import Foundation

/// A file of a zip file, and how it is written there.
struct Part: Sendable {
  var name: [UInt8]
  let content: [UInt8]
  private let deflated: [UInt8]
  let checksum: Int
  var isDeflated = true
  /// Sizes and checksum behind the content, as programs write that write into a pipe.
  var hasDescriptor = false
  /// Sizes of 64 bits, in an extra field before the content.
  var isZip64 = false
  var extra: [UInt8] = []
  /// What the directory calls it.
  var listed: [UInt8]

  init(_ name: String, _ content: [UInt8]) {
    self.name = Array(name.utf8)
    listed = self.name
    self.content = content
    checksum = Int(crc32(0, content, uInt(content.count)))
    deflated = deflateRaw(content)
  }

  var packed: [UInt8] { isDeflated ? deflated : content }
}

/// A zip file, and where its records begin.
struct ZipFile {
  var bytes: [UInt8] = []
  var locals: [Int] = []
  var entries: [Int] = []
  var end = 0

  func with(_ value: Int, at offset: Int, width: Int) -> [UInt8] {
    bytes[..<offset] + little(value, width) + bytes[(offset + width)...]
  }

  func number(at offset: Int, width: Int) -> Int {
    bytes[offset..<offset + width].reversed().reduce(0) { $0 << 8 | Int($1) }
  }
}

/// Writes a zip file record by record (PKWARE's APPNOTE 6.3, section 4.3). `listed` has the parts that the directory lists, by
/// their number, in its order.
func writeZip(
  _ parts: [Part],
  listed: [Int]? = nil,
  comment: [UInt8] = [],
  between: [UInt8] = [],
  zip64: Bool = false
) -> ZipFile {
  var zip = ZipFile()
  for part in parts {
    zip.locals.append(zip.bytes.count)
    zip.bytes += local(part)
  }
  zip.bytes += between
  let start = zip.bytes.count
  for number in listed ?? Array(parts.indices) {
    zip.entries.append(zip.bytes.count)
    zip.bytes += entry(parts[number], at: zip.locals[number])
  }
  let (count, size) = (zip.entries.count, zip.bytes.count - start)
  if zip64 { zip.bytes += end64(count, size, start) }
  zip.end = zip.bytes.count
  zip.bytes += little(0x0605_4B50, 4) + little(0, 4) + little(count, 2) + little(count, 2) + little(size, 4)
  zip.bytes += little(zip64 ? -1 : start, 4) + little(comment.count, 2) + comment
  return zip
}

private func local(_ part: Part) -> [UInt8] {
  let sizes = little(1, 2) + little(16, 2) + little(part.content.count, 8) + little(part.packed.count, 8)
  let extra = part.isZip64 ? part.extra + sizes : part.extra
  var header = little(0x0403_4B50, 4) + little(part.isZip64 ? 45 : 20, 2) + kind(part)
  header += part.hasDescriptor ? little(0, 12) : checks(part, elsewhere: part.isZip64)
  header += little(part.name.count, 2) + little(extra.count, 2)
  let descriptor = part.hasDescriptor ? little(0x0807_4B50, 4) + checks(part, elsewhere: false) : []
  return header + part.name + extra + part.packed + descriptor
}

private func entry(_ part: Part, at offset: Int) -> [UInt8] {
  var entry = little(0x0201_4B50, 4) + little(20, 2) + little(20, 2) + kind(part) + checks(part, elsewhere: false)
  entry += little(part.listed.count, 2) + little(0, 12) + little(offset, 4)
  return entry + part.listed
}

private func end64(_ count: Int, _ size: Int, _ start: Int) -> [UInt8] {
  var record = little(0x0606_4B50, 4) + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 8)
  record += little(count, 8) + little(count, 8) + little(size, 8) + little(start, 8)
  return record + little(0x0706_4B50, 4) + little(0, 4) + little(start + size, 8) + little(1, 4)
}

/// Flags, method and some day of 2025.
private func kind(_ part: Part) -> [UInt8] {
  little(part.hasDescriptor ? 1 << 11 | 8 : 1 << 11, 2) + little(part.isDeflated ? 8 : 0, 2) + little(0x5B7D_6000, 4)
}

private func checks(_ part: Part, elsewhere: Bool) -> [UInt8] {
  little(part.checksum, 4) + little(elsewhere ? -1 : part.packed.count, 4)
    + little(elsewhere ? -1 : part.content.count, 4)
}

private func little(_ value: Int, _ width: Int) -> [UInt8] {
  (0..<width).map { $0 < 8 ? UInt8(truncatingIfNeeded: value >> (8 * $0)) : 0 }
}

private func deflateRaw(_ content: [UInt8]) -> [UInt8] {
  var stream = z_stream()
  let size = Int32(MemoryLayout<z_stream>.size)
  precondition(deflateInit2_(&stream, 1, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK)
  defer { deflateEnd(&stream) }
  var (input, output) = (content, [UInt8](repeating: 0, count: content.count + 64))
  return input.withUnsafeMutableBufferPointer { input in
    let count = output.withUnsafeMutableBufferPointer { output in
      (stream.next_in, stream.avail_in) = (input.baseAddress, uInt(input.count))
      (stream.next_out, stream.avail_out) = (output.baseAddress, uInt(output.count))
      precondition(deflate(&stream, Z_FINISH) == Z_STREAM_END)
      return output.count - Int(stream.avail_out)
    }
    return Array(output.prefix(count))
  }
}
