// SPDX-License-Identifier: Apache-2.0
import Observation

/// documentation/swiftui/state, iOS 13; of Observable objects, iOS 17.
@propertyWrapper public struct State<Value> {
  public init(wrappedValue: Value) { fatalError() }
  public init(initialValue: Value) { fatalError() }
  public var wrappedValue: Value {
    get { fatalError() }
    nonmutating set { fatalError() }
  }
  public var projectedValue: Binding<Value> { fatalError() }
}

/// documentation/swiftui/state, iOS 13.
extension State: Sendable where Value: Sendable {}

/// documentation/swiftui/binding, iOS 13.
@propertyWrapper @dynamicMemberLookup public struct Binding<Value> {
  public init(
    get: @escaping @isolated(any) @Sendable () -> Value, set: @escaping @isolated(any) @Sendable (Value) -> Void
  ) {
    fatalError()
  }
  public var wrappedValue: Value {
    get { fatalError() }
    nonmutating set { fatalError() }
  }
  public var projectedValue: Binding<Value> { self }
  public subscript<Subject>(dynamicMember keyPath: WritableKeyPath<Value, Subject>) -> Binding<Subject> { fatalError() }
}

/// documentation/swiftui/bindable, iOS 17.
@propertyWrapper @dynamicMemberLookup public struct Bindable<Value> {
  public init(wrappedValue: Value) where Value: AnyObject, Value: Observable { fatalError() }
  public init(_ wrappedValue: Value) where Value: AnyObject, Value: Observable { fatalError() }
  public var wrappedValue: Value { fatalError() }
  public var projectedValue: Bindable<Value> { self }
  public subscript<Subject>(dynamicMember keyPath: ReferenceWritableKeyPath<Value, Subject>) -> Binding<Subject>
  where Value: AnyObject { fatalError() }
}

/// documentation/swiftui/environment, iOS 13.
@propertyWrapper public struct Environment<Value> {
  public init(_ keyPath: KeyPath<EnvironmentValues, Value>) { fatalError() }
  public var wrappedValue: Value { fatalError() }
}

/// documentation/swiftui/environmentvalues, iOS 13.
public struct EnvironmentValues {
  /// documentation/swiftui/environmentvalues/scenephase, iOS 14.
  public var scenePhase: ScenePhase { fatalError() }
  /// documentation/swiftui/environmentvalues/horizontalsizeclass, iOS 13.
  public var horizontalSizeClass: UserInterfaceSizeClass? { fatalError() }
  /// documentation/swiftui/environmentvalues/verticalsizeclass, iOS 13.
  public var verticalSizeClass: UserInterfaceSizeClass? { fatalError() }
  /// documentation/swiftui/environmentvalues/accessibilityreducemotion, iOS 13.
  public var accessibilityReduceMotion: Bool { fatalError() }
  /// documentation/swiftui/environmentvalues/dismiss, iOS 15.
  public var dismiss: DismissAction { fatalError() }
}

/// documentation/swiftui/scenephase, iOS 14.
public enum ScenePhase: Comparable, Sendable { case background, inactive, active }

/// documentation/swiftui/userinterfacesizeclass, iOS 13.
public enum UserInterfaceSizeClass: Sendable { case compact, regular }

/// documentation/swiftui/dismissaction, iOS 15.
@MainActor @preconcurrency public struct DismissAction {
  public func callAsFunction() { fatalError() }
}
