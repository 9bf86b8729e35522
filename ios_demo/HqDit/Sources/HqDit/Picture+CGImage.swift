// SPDX-License-Identifier: Apache-2.0
#if canImport(CoreGraphics)
  import CoreGraphics
  import Foundation

  extension Picture {
    /// For SwiftUI, UIKit and AppKit: 8-bit sRGB without alpha, over the same bytes. Nil where the system has no memory.
    public var cgImage: CGImage? {
      guard let provider = CGDataProvider(data: rgb as CFData), let space = CGColorSpace(name: CGColorSpace.sRGB) else {
        return nil
      }
      return CGImage(
        width: width,
        height: height,
        bitsPerComponent: 8,
        bitsPerPixel: 24,
        bytesPerRow: width * 3,
        space: space,
        bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.none.rawValue),
        provider: provider,
        decode: nil,
        shouldInterpolate: true,
        intent: .defaultIntent
      )
    }
  }
#endif
