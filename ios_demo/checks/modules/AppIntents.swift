// SPDX-License-Identifier: Apache-2.0
// A stand-in for AppIntents, of what the app uses; see SwiftUI/View.swift.
@_exported import CoreGraphics
@_exported import Foundation
import UniformTypeIdentifiers

/// documentation/appintents/appintent, iOS 16.
public protocol AppIntent: Sendable {
  associatedtype PerformResult: IntentResult
  static var title: LocalizedStringResource { get }
  static var description: IntentDescription? { get }
  init()
  func perform() async throws -> PerformResult
}

/// documentation/appintents/appintent/parameter, iOS 16.
extension AppIntent { public typealias Parameter = IntentParameter }

/// documentation/appintents/intentparameter, iOS 16.
@propertyWrapper public final class IntentParameter<Value: Sendable>: @unchecked Sendable {
  public init(title: LocalizedStringResource) { fatalError() }
  public var wrappedValue: Value {
    get { fatalError() }
    set { fatalError() }
  }
}

/// documentation/appintents/intentdescription, iOS 16.
public struct IntentDescription: Sendable {
  public init(_ description: LocalizedStringResource) { fatalError() }
}

/// documentation/appintents/intentresult, iOS 16.
public protocol IntentResult: Sendable {}

/// documentation/appintents/returnsvalue, iOS 16.
public protocol ReturnsValue<Value>: IntentResult { associatedtype Value: Sendable }

/// What no page names: the type that result(value:) returns.
public struct ValueResult<Value: Sendable>: ReturnsValue {}

extension IntentResult {
  /// documentation/appintents/intentresult/result(value:), iOS 16.
  public static func result<Value: Sendable>(value: Value) -> Self where Self == ValueResult<Value> { fatalError() }
}

/// documentation/appintents/intentfile, iOS 16.
public struct IntentFile: Sendable {
  public init(data: Data, filename: String, type: UTType? = nil) { fatalError() }
}

/// documentation/appintents/customlocalizedstringresourceconvertible, iOS 16.
public protocol CustomLocalizedStringResourceConvertible {
  var localizedStringResource: LocalizedStringResource { get }
}
