// SPDX-License-Identifier: Apache-2.0

/// documentation/swiftui/button, iOS 13; roles, iOS 15; with an image, iOS 17.
public struct Button<Content: View>: View {
  public init(action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> Content) { fatalError() }
  public init(_ title: LocalizedStringKey, action: @escaping @MainActor () -> Void) where Content == Text {
    fatalError()
  }
  public init(_ title: LocalizedStringKey, role: ButtonRole?, action: @escaping @MainActor () -> Void)
  where Content == Text { fatalError() }
  public init(_ title: LocalizedStringKey, systemImage: String, action: @escaping @MainActor () -> Void)
  where Content == Label { fatalError() }
  @_disfavoredOverload public init(_ title: some StringProtocol, action: @escaping @MainActor () -> Void)
  where Content == Text { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/buttonrole, iOS 15.
public struct ButtonRole: Equatable, Sendable {
  public static let destructive = ButtonRole()
  public static let cancel = ButtonRole()
}

/// documentation/swiftui/slider, iOS 13.
public struct Slider<Content: View>: View {
  nonisolated public init<Value: BinaryFloatingPoint>(
    value: Binding<Value>, in bounds: ClosedRange<Value>, step: Value.Stride = 1, @ViewBuilder label: () -> Content
  ) where Value.Stride: BinaryFloatingPoint { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/stepper, iOS 13.
public struct Stepper<Content: View>: View {
  nonisolated public init<Value: Strideable>(
    value: Binding<Value>, in bounds: ClosedRange<Value>, step: Value.Stride = 1, @ViewBuilder label: () -> Content
  ) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/textfield, iOS 13.
public struct TextField: View {
  nonisolated public init(_ title: LocalizedStringKey, text: Binding<String>) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/progressview, iOS 14.
public struct ProgressView: View {
  nonisolated public init() { fatalError() }
  nonisolated public init(_ title: LocalizedStringKey) { fatalError() }
  nonisolated public init<Value: BinaryFloatingPoint>(value: Value?, total: Value = 1.0) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/sharelink, iOS 16.
public struct ShareLink: View {
  nonisolated public init(item: URL) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/keyequivalent, iOS 14.
public struct KeyEquivalent: Sendable {
  public static let `return` = KeyEquivalent()
}

/// documentation/swiftui/keyboardshortcut, iOS 15.
public struct KeyboardShortcut: Sendable {
  public static let defaultAction = KeyboardShortcut()
  public static let cancelAction = KeyboardShortcut()
}

/// documentation/swiftui/toolbaritem, iOS 14.
public struct ToolbarItem<Content: View> {
  nonisolated public init(placement: ToolbarItemPlacement = .automatic, @ViewBuilder content: () -> Content) {
    fatalError()
  }
}

/// documentation/swiftui/toolbaritemplacement, iOS 14.
public struct ToolbarItemPlacement: Sendable {
  public static let automatic = ToolbarItemPlacement()
  public static let primaryAction = ToolbarItemPlacement()
  public static let confirmationAction = ToolbarItemPlacement()
}

/// documentation/swiftui/toolbarcontentbuilder, iOS 14.
@resultBuilder public enum ToolbarContentBuilder {
  public static func buildBlock<Content: View>(_ item: ToolbarItem<Content>) -> ToolbarItem<Content> { item }
}
