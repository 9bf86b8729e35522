// SPDX-License-Identifier: Apache-2.0
import UniformTypeIdentifiers

// documentation/swiftui/view-layout, view-appearance, view-input-and-events and the pages below them.
extension View {
  /// documentation/swiftui/view/padding(_:), iOS 13.
  nonisolated public func padding(_ length: CGFloat) -> some View { Opaque() }
  /// documentation/swiftui/view/padding(_:_:), iOS 13.
  nonisolated public func padding(_ edges: Edge.Set = .all, _ length: CGFloat? = nil) -> some View { Opaque() }
  /// documentation/swiftui/view/frame(width:height:alignment:), iOS 13.
  nonisolated public func frame(
    width: CGFloat? = nil, height: CGFloat? = nil, alignment: Alignment = .center
  ) -> some View { Opaque() }
  /// documentation/swiftui/view/frame(minwidth:idealwidth:maxwidth:minheight:idealheight:maxheight:alignment:), iOS 13.
  nonisolated public func frame(
    minWidth: CGFloat? = nil, idealWidth: CGFloat? = nil, maxWidth: CGFloat? = nil, minHeight: CGFloat? = nil,
    idealHeight: CGFloat? = nil, maxHeight: CGFloat? = nil, alignment: Alignment = .center
  ) -> some View { Opaque() }
  /// documentation/swiftui/view/aspectratio(_:contentmode:), iOS 13.
  nonisolated public func aspectRatio(_ aspectRatio: CGFloat? = nil, contentMode: ContentMode) -> some View { Opaque() }
  /// documentation/swiftui/view/overlay(alignment:content:), iOS 15.
  nonisolated public func overlay<Content: View>(
    alignment: Alignment = .center, @ViewBuilder content: () -> Content
  ) -> some View { Opaque() }
  /// documentation/swiftui/view/background(_:in:fillstyle:), iOS 15.
  nonisolated public func background<Style: ShapeStyle, Shape: InsettableShape>(_ style: Style, in shape: Shape)
    -> some View
  {
    Opaque()
  }
  /// documentation/swiftui/view/clipshape(_:style:), iOS 13.
  nonisolated public func clipShape<Clip: InsettableShape>(_ shape: Clip) -> some View { Opaque() }
  /// documentation/swiftui/view/font(_:), iOS 13.
  nonisolated public func font(_ font: Font?) -> some View { Opaque() }
  /// documentation/swiftui/view/foregroundstyle(_:), iOS 15.
  nonisolated public func foregroundStyle<Style: ShapeStyle>(_ style: Style) -> some View { Opaque() }
  /// documentation/swiftui/view/tint(_:), iOS 15.
  nonisolated public func tint(_ tint: Color?) -> some View { Opaque() }
  /// documentation/swiftui/view/opacity(_:), iOS 13.
  nonisolated public func opacity(_ opacity: Double) -> some View { Opaque() }
  /// documentation/swiftui/view/blur(radius:opaque:), iOS 13.
  nonisolated public func blur(radius: CGFloat, opaque: Bool = false) -> some View { Opaque() }
  /// documentation/swiftui/view/linelimit(_:), iOS 13.
  nonisolated public func lineLimit(_ number: Int?) -> some View { Opaque() }
  /// documentation/swiftui/view/multilinetextalignment(_:), iOS 13.
  nonisolated public func multilineTextAlignment(_ alignment: TextAlignment) -> some View { Opaque() }
  /// documentation/swiftui/view/textselection(_:), iOS 15.
  nonisolated public func textSelection(_ selectability: TextSelectability) -> some View { Opaque() }
  /// documentation/swiftui/view/keyboardtype(_:), iOS 13.
  nonisolated public func keyboardType(_ type: KeyboardType) -> some View { Opaque() }
  /// documentation/swiftui/view/labelstyle(_:), iOS 14.
  nonisolated public func labelStyle(_ style: LabelStyle) -> some View { Opaque() }
  /// documentation/swiftui/view/disabled(_:), iOS 13.
  nonisolated public func disabled(_ disabled: Bool) -> some View { Opaque() }
  /// documentation/swiftui/view/buttonstyle(_:), iOS 13.
  nonisolated public func buttonStyle(_ style: ButtonStyle) -> some View { Opaque() }
  /// documentation/swiftui/view/controlsize(_:), iOS 15.
  nonisolated public func controlSize(_ size: ControlSize) -> some View { Opaque() }
  /// documentation/swiftui/view/keyboardshortcut(_:), iOS 14.
  nonisolated public func keyboardShortcut(_ shortcut: KeyboardShortcut) -> some View { Opaque() }
  /// documentation/swiftui/view/navigationtitle(_:), iOS 14.
  nonisolated public func navigationTitle(_ title: LocalizedStringKey) -> some View { Opaque() }
  /// documentation/swiftui/view/navigationtitle(_:), iOS 14.
  @_disfavoredOverload nonisolated public func navigationTitle(_ title: some StringProtocol) -> some View { Opaque() }
  /// documentation/swiftui/view/navigationbartitledisplaymode(_:), iOS 14.
  nonisolated public func navigationBarTitleDisplayMode(_ mode: TitleDisplayMode) -> some View { Opaque() }
  /// documentation/swiftui/view/toolbar(content:), iOS 14.
  nonisolated public func toolbar<Content: View>(@ToolbarContentBuilder content: () -> ToolbarItem<Content>)
    -> some View
  {
    Opaque()
  }
  /// documentation/swiftui/view/searchable(text:placement:prompt:), iOS 15.
  nonisolated public func searchable(text: Binding<String>, prompt: LocalizedStringKey) -> some View { Opaque() }
  /// documentation/swiftui/view/sheet(ispresented:ondismiss:content:), iOS 13.
  nonisolated public func sheet<Content: View>(
    isPresented: Binding<Bool>, @ViewBuilder content: @escaping () -> Content
  ) -> some View { Opaque() }
  /// documentation/swiftui/view/fileimporter(ispresented:allowedcontenttypes:oncompletion:), iOS 14.
  nonisolated public func fileImporter(
    isPresented: Binding<Bool>, allowedContentTypes: [UTType],
    onCompletion: @escaping @MainActor (Result<URL, any Error>) -> Void
  ) -> some View { Opaque() }
  /// documentation/swiftui/view/draggable(_:), iOS 16.
  nonisolated public func draggable(_ payload: @autoclosure @escaping () -> URL) -> some View { Opaque() }
  /// documentation/swiftui/view/onsubmit(of:_:), iOS 15.
  nonisolated public func onSubmit(_ action: @escaping @MainActor () -> Void) -> some View { Opaque() }
  /// documentation/swiftui/view/onchange(of:initial:_:), iOS 17.
  nonisolated public func onChange<Value: Equatable>(
    of value: Value, initial: Bool = false, _ action: @escaping @MainActor (Value, Value) -> Void
  ) -> some View { Opaque() }
  /// documentation/swiftui/view/task(priority:_:), iOS 15.
  nonisolated public func task(
    @_inheritActorContext _ action: @escaping @Sendable () async -> Void
  ) -> some View { Opaque() }
  /// documentation/swiftui/view/animation(_:value:), iOS 13.
  nonisolated public func animation<Value: Equatable>(_ animation: Animation?, value: Value) -> some View { Opaque() }
  /// documentation/swiftui/view/transition(_:), iOS 13.
  nonisolated public func transition(_ transition: Transition) -> some View { Opaque() }
  /// documentation/swiftui/view/sensoryfeedback(_:trigger:), iOS 17.
  nonisolated public func sensoryFeedback<Trigger: Equatable>(_ feedback: SensoryFeedback, trigger: Trigger)
    -> some View
  {
    Opaque()
  }
  /// documentation/swiftui/view/sensoryfeedback(trigger:_:), iOS 17.
  nonisolated public func sensoryFeedback<Trigger: Equatable>(
    trigger: Trigger, _ feedback: @escaping (Trigger, Trigger) -> SensoryFeedback?
  ) -> some View { Opaque() }
}

/// documentation/swiftui/edge, iOS 13.
public enum Edge: Sendable {
  case top, bottom
  public struct Set: OptionSet, Sendable {
    public let rawValue: Int8
    public init(rawValue: Int8) { self.rawValue = rawValue }
    public static let all = Set(rawValue: 15)
    public static let horizontal = Set(rawValue: 10)
    public static let vertical = Set(rawValue: 5)
    public static let bottom = Set(rawValue: 4)
  }
}

/// documentation/swiftui/contentmode, iOS 13.
public enum ContentMode: Sendable { case fit, fill }
/// documentation/swiftui/textalignment, iOS 13.
public enum TextAlignment: Sendable { case leading, center, trailing }

/// documentation/swiftui/textselectability, iOS 15; a protocol with these two values.
public struct TextSelectability: Sendable { public static let enabled = TextSelectability() }

/// documentation/uikit/uikeyboardtype, iOS 2.
public enum KeyboardType: Sendable { case numberPad }

/// documentation/swiftui/labelstyle, iOS 14; a protocol with this value.
public struct LabelStyle: Sendable { public static let iconOnly = LabelStyle() }

/// documentation/swiftui/primitivebuttonstyle, iOS 15; a protocol with these values.
public struct ButtonStyle: Sendable {
  public static let bordered = ButtonStyle()
  public static let borderedProminent = ButtonStyle()
  public static let plain = ButtonStyle()
}

/// documentation/swiftui/controlsize, iOS 15.
public enum ControlSize: Sendable { case regular, large }

/// documentation/swiftui/navigationbaritem/titledisplaymode, iOS 14.
public enum TitleDisplayMode: Sendable { case inline, large }

/// documentation/swiftui/shapestyle, iOS 13.
public protocol ShapeStyle: Sendable {}
extension ShapeStyle where Self == HierarchicalShapeStyle {
  /// documentation/swiftui/shapestyle/primary, iOS 15.
  public static var primary: HierarchicalShapeStyle { fatalError() }
  /// documentation/swiftui/shapestyle/secondary, iOS 15.
  public static var secondary: HierarchicalShapeStyle { fatalError() }
}
/// documentation/swiftui/shapestyle/regularmaterial, iOS 15.
extension ShapeStyle where Self == Material { public static var regularMaterial: Material { fatalError() } }
/// documentation/swiftui/shapestyle/tint, iOS 15.
extension ShapeStyle where Self == Color { public static var tint: Color { fatalError() } }

/// documentation/swiftui/hierarchicalshapestyle, iOS 15.
public struct HierarchicalShapeStyle: ShapeStyle {}

/// documentation/swiftui/material, iOS 15.
public struct Material: ShapeStyle {}

/// documentation/swiftui/color, iOS 13.
public struct Color: ShapeStyle, Hashable {
  public static let accentColor = Color()
  public static let clear = Color()
}

/// documentation/swiftui/insettableshape, iOS 13.
public protocol InsettableShape: Sendable {}
extension InsettableShape where Self == RoundedRectangle {
  /// documentation/swiftui/shape/rect(cornerradius:style:), iOS 16.
  public static func rect(cornerRadius: CGFloat) -> RoundedRectangle { fatalError() }
}
/// documentation/swiftui/shape/capsule, iOS 15.
extension InsettableShape where Self == Capsule { public static var capsule: Capsule { fatalError() } }

/// documentation/swiftui/roundedrectangle and capsule, iOS 13.
public struct RoundedRectangle: InsettableShape {}
public struct Capsule: InsettableShape {}

/// documentation/swiftui/animation, iOS 13.
public struct Animation: Equatable, Sendable {
  public static let `default` = Animation()
  public static func easeInOut(duration: TimeInterval) -> Animation { fatalError() }
}

/// documentation/swiftui/anytransition, iOS 13.
public struct Transition: Sendable { public static let opacity = Transition() }

/// documentation/swiftui/sensoryfeedback, iOS 17.
public struct SensoryFeedback: Equatable, Sendable {
  public static let success = SensoryFeedback()
  public static let error = SensoryFeedback()
  public static let selection = SensoryFeedback()
}
