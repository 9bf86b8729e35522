// SPDX-License-Identifier: Apache-2.0
import CZlib
import Foundation

/// Decompresses a raw deflate stream (RFC 1951) piece by piece: a model is larger than the memory that an app may take.
func inflateRaw(_ packed: Data, _ write: (Data) throws -> Void) throws {
  var stream = z_stream()
  guard inflateInit2_(&stream, -MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
    throw ImportError("no memory to unpack the zip file")
  }
  defer { inflateEnd(&stream) }
  var output = [UInt8](repeating: 0, count: pieceSize)
  var rest = packed
  var isDone = false
  while !isDone {
    var input = [UInt8](rest.prefix(pieceSize))
    let read = try input.withUnsafeMutableBufferPointer { input in
      stream.next_in = input.baseAddress
      stream.avail_in = uInt(input.count)
      isDone = try inflateAll(&stream, &output, write)
      return input.count - Int(stream.avail_in)
    }
    guard read > 0 || isDone else { throw ImportError("the zip file is damaged: make it again") }
    rest = rest.dropFirst(read)
  }
  guard rest.isEmpty else { throw ImportError("the zip file is damaged: make it again") }
}

private let pieceSize = 1 << 18

/// Decompresses what `stream` has for input. True at the end of the compressed data.
private func inflateAll(_ stream: inout z_stream, _ output: inout [UInt8], _ write: (Data) throws -> Void) throws
  -> Bool
{
  while true {
    var status = Z_OK
    let count = output.withUnsafeMutableBufferPointer { output in
      stream.next_out = output.baseAddress
      stream.avail_out = uInt(output.count)
      status = inflate(&stream, Z_NO_FLUSH)
      return output.count - Int(stream.avail_out)
    }
    // Z_BUF_ERROR: all input is used up.
    guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
      throw ImportError("the zip file is damaged: make it again")
    }
    if count > 0 { try write(Data(output[..<count])) }
    if status == Z_STREAM_END { return true }
    if count < output.count { return false }
  }
}

/// Compares what is unpacked with what the directory says of it.
struct ContentCheck {
  private let entry: ZipEntry
  private var size = 0
  private var checksum = crc32(0, nil, 0)

  init(entry: ZipEntry) { self.entry = entry }

  /// Throws as soon as there is more than there should be: a small archive can unpack to any size.
  mutating func add(_ piece: Data) throws {
    size += piece.count
    if size > entry.size { throw ImportError("\(entry.path.prefix(200)) is larger than the zip file says") }
    checksum = piece.withUnsafeBytes { bytes in
      crc32(checksum, bytes.bindMemory(to: Bytef.self).baseAddress, uInt(bytes.count))
    }
  }

  func finish() throws {
    if size != entry.size || checksum != entry.checksum {
      throw ImportError("\(entry.path.prefix(200)) is damaged in the zip file: make it again")
    }
  }
}
