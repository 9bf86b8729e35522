// SPDX-License-Identifier: Apache-2.0
import CZlib
import Foundation

extension Picture {
  /// The picture as a PNG file (ISO/IEC 15948), with `text` in iTXt chunks.
  ///
  /// - Precondition: each key of `text` has 1 to 79 ASCII characters, as "Title" or "Description" has.
  /// - Throws: ``HqDitError/outOfMemory(_:)`` where zlib finds no memory.
  public func png(text: KeyValuePairs<String, String> = [:]) throws -> Data {
    var file = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
    // Width, height, 8 bits, truecolour, and the only methods of compression, filter and interlace there are.
    file.appendChunk("IHDR", bigEndian(width) + bigEndian(height) + Data([8, 2, 0, 0, 0]))
    file.appendChunk("sRGB", Data([0]))
    for (keyword, words) in text {
      precondition((1...79).contains(keyword.utf8.count) && keyword.allSatisfy(\.isASCII), "not a keyword: \(keyword)")
      // Uncompressed, and without language and translated keyword.
      file.appendChunk("iTXt", Data(keyword.utf8) + Data([0, 0, 0, 0, 0]) + Data(words.utf8))
    }
    file.appendChunk("IDAT", try deflated(filteredRows()))
    file.appendChunk("IEND", Data())
    return file
  }

  /// Each row with its filter, "Sub", in front: the differences to the pixel on the left compress better.
  private func filteredRows() -> Data {
    let stride = width * 3
    let pixels = [UInt8](rgb)
    var rows = Data(capacity: height * (stride + 1))
    for row in 0..<height {
      rows.append(1)
      for index in row * stride..<(row + 1) * stride {
        rows.append(index % stride < 3 ? pixels[index] : pixels[index] &- pixels[index - 3])
      }
    }
    return rows
  }
}

private func deflated(_ data: Data) throws -> Data {
  var size = compressBound(uLong(data.count))
  var packed = Data(count: Int(size))
  let status = packed.withUnsafeMutableBytes { output in
    data.withUnsafeBytes { input in
      compress(
        output.bindMemory(to: Bytef.self).baseAddress, &size, input.bindMemory(to: Bytef.self).baseAddress,
        uLong(input.count))
    }
  }
  guard status == Z_OK else { throw HqDitError.outOfMemory("no memory to compress the picture (zlib: \(status))") }
  return packed.prefix(Int(size))
}

private func bigEndian(_ number: Int) -> Data {
  withUnsafeBytes(of: UInt32(number).bigEndian) { Data($0) }
}

extension Data {
  fileprivate mutating func appendChunk(_ type: String, _ content: Data) {
    let checked = Data(type.utf8) + content
    let checksum = checked.withUnsafeBytes { bytes in
      crc32(0, bytes.bindMemory(to: Bytef.self).baseAddress, uInt(bytes.count))
    }
    append(bigEndian(content.count))
    append(checked)
    append(bigEndian(Int(checksum)))
  }
}
