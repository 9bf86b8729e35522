// SPDX-License-Identifier: Apache-2.0

/// documentation/swiftui/localizedstringkey, iOS 13.
public struct LocalizedStringKey: ExpressibleByStringInterpolation, Equatable, Sendable {
  public init(_ value: String) { fatalError() }
  public init(stringLiteral value: String) { fatalError() }
  public init(stringInterpolation: StringInterpolation) { fatalError() }

  public struct StringInterpolation: StringInterpolationProtocol {
    public init(literalCapacity: Int, interpolationCount: Int) { fatalError() }
    public mutating func appendLiteral(_ literal: String) { fatalError() }
    public mutating func appendInterpolation(_ string: String) { fatalError() }
    public mutating func appendInterpolation(_ value: Int) { fatalError() }
  }
}

/// documentation/swiftui/text, iOS 13.
public struct Text: View, Equatable, Sendable {
  nonisolated public init(_ key: LocalizedStringKey) { fatalError() }
  @_disfavoredOverload nonisolated public init<Content: StringProtocol>(_ content: Content) { fatalError() }
  @_disfavoredOverload nonisolated public init(_ resource: LocalizedStringResource) { fatalError() }
  nonisolated public init(verbatim content: String) { fatalError() }
  nonisolated public func font(_ font: Font?) -> Text { fatalError() }
  nonisolated public func bold() -> Text { fatalError() }
  nonisolated public func monospacedDigit() -> Text { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/font, iOS 13.
public struct Font: Hashable, Sendable {
  public static let title2 = Font()
  public static let headline = Font()
  public static let subheadline = Font()
  public static let body = Font()
  public static let caption = Font()
  public static let footnote = Font()
}

/// documentation/swiftui/label, iOS 14.
public struct Label: View {
  nonisolated public init(_ title: LocalizedStringKey, systemImage: String) { fatalError() }
  @_disfavoredOverload nonisolated public init<Title: StringProtocol>(_ title: Title, systemImage: String) {
    fatalError()
  }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/image, iOS 13.
public struct Image: View, Equatable, Sendable {
  nonisolated public init(systemName: String) { fatalError() }
  nonisolated public init(decorative image: CGImage, scale: CGFloat) { fatalError() }
  /// documentation/swiftui/image/init(uiimage:), iOS 13; of a UIImage, which is one here for CGImage alone.
  nonisolated public func resizable() -> Image { fatalError() }
  nonisolated public func interpolation(_ interpolation: Interpolation) -> Image { fatalError() }
  public enum Interpolation: Sendable { case none, low, medium, high }
  public var body: Never { fatalError() }
}

extension String {
  /// documentation/swift/string/localizationvalue, iOS 15.
  public struct LocalizationValue: ExpressibleByStringInterpolation, Sendable {
    /// documentation/swift/string/localizationvalue/init(stringliteral:), iOS 15.
    public init(stringLiteral value: String) { fatalError() }
  }
  /// documentation/swift/string/init(localized:table:bundle:locale:comment:), iOS 15.
  public init(localized: LocalizationValue) { fatalError() }
}
