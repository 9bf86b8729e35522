// SPDX-License-Identifier: Apache-2.0
// A stand-in for UniformTypeIdentifiers, of what the app uses; see SwiftUI/View.swift.

/// documentation/uniformtypeidentifiers/uttype-swift.struct, iOS 14.
public struct UTType: Hashable, Sendable {
  public static let folder = UTType(identifier: "public.folder")
  public static let zip = UTType(identifier: "public.zip-archive")
  public static let png = UTType(identifier: "public.png")
  public let identifier: String
}
