// SPDX-License-Identifier: Apache-2.0
// A stand-in for SwiftUI, so that the app can be type-checked without a Mac: declarations only, of what the app uses, each
// with its page at developer.apple.com and the iOS that it came with. Nothing here was copied, and nothing runs.
@_exported import CoreGraphics
@_exported import Foundation

/// documentation/swiftui/view, iOS 13.
@MainActor @preconcurrency public protocol View {
  associatedtype Body: View
  @ViewBuilder var body: Body { get }
}

extension Never: View {
  /// documentation/swiftui/view/body-swift.property, iOS 13.
  public var body: Never { fatalError() }
}

/// What no page names: the type that a modifier returns.
public struct Opaque: View {
  nonisolated init() {}
  public var body: Never { fatalError() }
}

/// documentation/swiftui/viewbuilder, iOS 13.
@resultBuilder public enum ViewBuilder {
  public static func buildBlock() -> EmptyView { fatalError() }
  public static func buildBlock<Content: View>(_ content: Content) -> Content { content }
  public static func buildBlock<each Content: View>(_ content: repeat each Content) -> Opaque { fatalError() }
  public static func buildExpression<Content: View>(_ content: Content) -> Content { content }
  public static func buildIf<Content: View>(_ content: Content?) -> Content? { content }
  public static func buildEither<First: View, Second: View>(first: First) -> Either<First, Second> { fatalError() }
  public static func buildEither<First: View, Second: View>(second: Second) -> Either<First, Second> { fatalError() }
}

/// documentation/swiftui/emptyview, iOS 13.
public struct EmptyView: View {
  public init() {}
  public var body: Never { fatalError() }
}

/// documentation/swiftui/_conditionalcontent, iOS 13; either here.
public struct Either<First: View, Second: View>: View {
  public var body: Never { fatalError() }
}

extension Optional: View where Wrapped: View {
  /// documentation/swiftui/view/body-swift.property, iOS 13.
  public var body: Never { fatalError() }
}

/// documentation/swiftui/app, iOS 14.
@MainActor @preconcurrency public protocol App {
  associatedtype Body: Scene
  @SceneBuilder var body: Body { get }
  init()
}

extension App {
  /// documentation/swiftui/app/main(), iOS 14.
  public static func main() { fatalError() }
}

/// documentation/swiftui/scene, iOS 14.
@MainActor @preconcurrency public protocol Scene {
  associatedtype Body: Scene
  var body: Body { get }
}

/// documentation/swiftui/scene, iOS 14.
/// documentation/swiftui/scene, iOS 14, which Never conforms to.
extension Never: Scene {}

/// documentation/swiftui/scenebuilder, iOS 14.
@resultBuilder public enum SceneBuilder {
  public static func buildBlock<Content: Scene>(_ content: Content) -> Content { content }
}

/// documentation/swiftui/windowgroup, iOS 14.
public struct WindowGroup<Content: View>: Scene {
  nonisolated public init(@ViewBuilder content: () -> Content) { fatalError() }
  public var body: Never { fatalError() }
}
