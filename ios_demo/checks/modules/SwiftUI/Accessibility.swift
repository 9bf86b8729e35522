// SPDX-License-Identifier: Apache-2.0

// documentation/swiftui/view-accessibility, iOS 14.
extension View {
  /// documentation/swiftui/view/accessibilitylabel(_:), iOS 14.
  nonisolated public func accessibilityLabel(_ label: LocalizedStringKey) -> some View { Opaque() }
  /// documentation/swiftui/view/accessibilitylabel(_:), iOS 14.
  nonisolated public func accessibilityLabel(_ label: Text) -> some View { Opaque() }
  /// documentation/swiftui/view/accessibilityvalue(_:), iOS 14.
  nonisolated public func accessibilityValue(_ value: LocalizedStringKey) -> some View { Opaque() }
  /// documentation/swiftui/view/accessibilityvalue(_:), iOS 14.
  nonisolated public func accessibilityValue(_ value: Text) -> some View { Opaque() }
  /// documentation/swiftui/view/accessibilityhint(_:), iOS 14.
  nonisolated public func accessibilityHint(_ hint: LocalizedStringKey) -> some View { Opaque() }
  /// documentation/swiftui/view/accessibilityhidden(_:), iOS 14.
  nonisolated public func accessibilityHidden(_ hidden: Bool) -> some View { Opaque() }
  /// documentation/swiftui/view/accessibilityelement(children:), iOS 13.
  nonisolated public func accessibilityElement(children: AccessibilityChildBehavior) -> some View { Opaque() }
  /// documentation/swiftui/view/accessibilityaddtraits(_:), iOS 14.
  nonisolated public func accessibilityAddTraits(_ traits: AccessibilityTraits) -> some View { Opaque() }
}

/// documentation/swiftui/accessibilitychildbehavior, iOS 13.
public enum AccessibilityChildBehavior: Sendable { case ignore, contain, combine }

/// documentation/swiftui/accessibilitytraits, iOS 13.
public struct AccessibilityTraits: SetAlgebraless, Sendable {
  public static let isSelected = AccessibilityTraits()
  public static let isImage = AccessibilityTraits()
  public init() {}
  public init(arrayLiteral elements: AccessibilityTraits...) {}
}

/// What no page names: a set that can be written as a list, as AccessibilityTraits can.
public protocol SetAlgebraless: ExpressibleByArrayLiteral {}

/// documentation/accessibility/accessibilitynotification, iOS 17.
public enum AccessibilityNotification {
  /// documentation/accessibility/accessibilitynotification/announcement, iOS 17.
  public struct Announcement: Sendable {
    public init(_ announcement: String) {}
    public func post() { fatalError() }
  }
}
