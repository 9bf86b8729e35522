// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import Testing

@Suite struct PictureTests {
  @Test func aPNGBeginsAndEndsAsOne() throws {
    let picture = Picture(width: 2, height: 1, rgb: Data([255, 0, 0, 0, 255, 0]))
    let file = try picture.png()
    #expect(file.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]))
    #expect(file.suffix(8) == Data([0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82]))
  }

  @Test func aPictureOverPartOfOtherData() throws {
    let whole = Data([9, 9, 255, 0, 0])
    let red = Picture(width: 1, height: 1, rgb: whole[2...])
    #expect(red == Picture(width: 1, height: 1, rgb: Data([255, 0, 0])))
    #expect(try red.png() == Picture(width: 1, height: 1, rgb: Data([255, 0, 0])).png())
  }
}
