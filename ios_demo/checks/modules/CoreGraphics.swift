// SPDX-License-Identifier: Apache-2.0
// A stand-in for CoreGraphics, and for texts of Foundation that only Apple systems have, of what the library and the
// app use; see SwiftUI/View.swift.
import Foundation

/// documentation/foundation/localizedstringresource, iOS 16.
public struct LocalizedStringResource: ExpressibleByStringInterpolation, Equatable, Sendable {
  public init(stringLiteral value: String) { fatalError() }
  public init(stringInterpolation: DefaultStringInterpolation) { fatalError() }
}

/// documentation/corefoundation/cfdata and cfstring, iOS 2. Here Data and String, since Linux does not bridge them.
public typealias CFData = Data
public typealias CFString = String

/// documentation/coregraphics/cgdataprovider/init(data:), iOS 2.
public final class CGDataProvider: @unchecked Sendable {
  public init?(data: CFData) { fatalError() }
}

/// documentation/coregraphics/cgcolorspace, iOS 2; sRGB, iOS 9.
public final class CGColorSpace: @unchecked Sendable {
  public static let sRGB: CFString = ""
  public init?(name: CFString) { fatalError() }
}

/// documentation/coregraphics/cgimagealphainfo, iOS 2.
public enum CGImageAlphaInfo: UInt32, Sendable { case none = 0 }

/// documentation/coregraphics/cgbitmapinfo, iOS 2.
public struct CGBitmapInfo: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// documentation/coregraphics/cgcolorrenderingintent, iOS 2.
public enum CGColorRenderingIntent: Int32, Sendable { case defaultIntent = 0 }

/// documentation/coregraphics/cgimage, iOS 2.
public final class CGImage: @unchecked Sendable {
  public init?(
    width: Int, height: Int, bitsPerComponent: Int, bitsPerPixel: Int, bytesPerRow: Int, space: CGColorSpace,
    bitmapInfo: CGBitmapInfo, provider: CGDataProvider, decode: UnsafePointer<CGFloat>?, shouldInterpolate: Bool,
    intent: CGColorRenderingIntent
  ) { fatalError() }

  /// documentation/coregraphics/cgimage/init(pngdataprovidersource:decode:shouldinterpolate:intent:), iOS 2.
  public init?(
    pngDataProviderSource source: CGDataProvider, decode: UnsafePointer<CGFloat>?, shouldInterpolate: Bool,
    intent: CGColorRenderingIntent
  ) { fatalError() }
}
