// SPDX-License-Identifier: Apache-2.0

/// documentation/swiftui/horizontalalignment and verticalalignment, iOS 13.
public enum HorizontalAlignment: Sendable { case leading, center, trailing }
public enum VerticalAlignment: Sendable { case top, center, bottom, firstTextBaseline }

/// documentation/swiftui/alignment, iOS 13.
public struct Alignment: Sendable {
  public static let center = Alignment()
  public static let leading = Alignment()
  public static let bottom = Alignment()
  public static let topTrailing = Alignment()
}

/// documentation/swiftui/vstack, iOS 13.
public struct VStack<Content: View>: View {
  nonisolated public init(
    alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content
  ) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/hstack, iOS 13.
public struct HStack<Content: View>: View {
  nonisolated public init(
    alignment: VerticalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content
  ) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/zstack, iOS 13.
public struct ZStack<Content: View>: View {
  nonisolated public init(alignment: Alignment = .center, @ViewBuilder content: () -> Content) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/scrollview, iOS 13.
public struct ScrollView<Content: View>: View {
  nonisolated public init(
    _ axes: Axis.Set = .vertical, showsIndicators: Bool = true, @ViewBuilder content: () -> Content
  ) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/axis, iOS 13.
public enum Axis: Sendable {
  case horizontal, vertical
  public struct Set: OptionSet, Sendable {
    public let rawValue: Int8
    public init(rawValue: Int8) { self.rawValue = rawValue }
    public static let horizontal = Set(rawValue: 1)
    public static let vertical = Set(rawValue: 2)
  }
}

/// documentation/swiftui/viewthatfits, iOS 16.
public struct ViewThatFits<Content: View>: View {
  nonisolated public init(in axes: Axis.Set = [.horizontal, .vertical], @ViewBuilder content: () -> Content) {
    fatalError()
  }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/lazyvgrid, iOS 14.
public struct LazyVGrid<Content: View>: View {
  nonisolated public init(columns: [GridItem], spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {
    fatalError()
  }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/griditem, iOS 14.
public struct GridItem: Sendable {
  public enum Size: Sendable { case flexible(minimum: CGFloat = 10, maximum: CGFloat = .infinity) }
  public init(_ size: Size = .flexible(), spacing: CGFloat? = nil) { fatalError() }
}

/// documentation/swiftui/lazyhstack, iOS 14.
public struct LazyHStack<Content: View>: View {
  nonisolated public init(spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/foreach, iOS 13.
public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content: View>: View {
  nonisolated public init(
    _ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> Content
  ) { fatalError() }
  nonisolated public init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content)
  where Data.Element: Identifiable, ID == Data.Element.ID { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/list, iOS 13.
public struct List<Content: View>: View {
  nonisolated public init(@ViewBuilder content: () -> Content) { fatalError() }
  nonisolated public init<Data: RandomAccessCollection, ID: Hashable, Row: View>(
    _ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder rowContent: @escaping (Data.Element) -> Row
  ) where Content == Opaque { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/section, iOS 13.
public struct Section<Content: View>: View {
  nonisolated public init(_ title: LocalizedStringKey, @ViewBuilder content: () -> Content) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/navigationstack, iOS 16.
public struct NavigationStack<Root: View>: View {
  nonisolated public init(@ViewBuilder root: () -> Root) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/disclosuregroup, iOS 14.
public struct DisclosureGroup<Content: View>: View {
  nonisolated public init(_ title: LocalizedStringKey, @ViewBuilder content: @escaping () -> Content) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/labeledcontent, iOS 16.
public struct LabeledContent<Content: View>: View {
  nonisolated public init(_ title: LocalizedStringKey, @ViewBuilder content: () -> Content) { fatalError() }
  @_disfavoredOverload nonisolated public init(_ title: LocalizedStringKey, value: some StringProtocol)
  where Content == Text { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/contentunavailableview, iOS 17.
public struct ContentUnavailableView<Actions: View>: View {
  nonisolated public init(
    @ViewBuilder label: () -> some View, @ViewBuilder description: () -> some View, @ViewBuilder actions: () -> Actions
  ) { fatalError() }
  public var body: Never { fatalError() }
}

/// documentation/swiftui/spacer, iOS 13.
public struct Spacer: View {
  nonisolated public init(minLength: CGFloat? = nil) { fatalError() }
  public var body: Never { fatalError() }
}
