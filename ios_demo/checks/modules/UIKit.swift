// SPDX-License-Identifier: Apache-2.0
// A stand-in for UIKit and what Foundation has on Apple systems only, of what the app uses; see SwiftUI/View.swift.
@_exported import CoreGraphics
@_exported import Foundation

/// documentation/uikit/uiapplication, iOS 2.
@MainActor public final class UIApplication {
  public static var shared: UIApplication { fatalError() }
  nonisolated public static let didReceiveMemoryWarningNotification = Notification.Name("memory")
  /// documentation/uikit/uiapplication/beginbackgroundtask(withname:expirationhandler:), iOS 7.
  nonisolated public func beginBackgroundTask(
    withName: String?, expirationHandler: (@MainActor @Sendable () -> Void)? = nil
  ) -> UIBackgroundTaskIdentifier { fatalError() }
  nonisolated public func endBackgroundTask(_ identifier: UIBackgroundTaskIdentifier) { fatalError() }
  /// documentation/uikit/uiapplication/isidletimerdisabled, iOS 2.
  public var isIdleTimerDisabled: Bool {
    get { fatalError() }
    set { fatalError() }
  }
  /// documentation/uikit/uiapplication/applicationstate, iOS 4.
  public var applicationState: State { fatalError() }
  public enum State: Sendable { case active, inactive, background }
}

/// documentation/uikit/uibackgroundtaskidentifier, iOS 4.
public struct UIBackgroundTaskIdentifier: Hashable, Sendable {
  public static let invalid = UIBackgroundTaskIdentifier()
}

/// documentation/uikit/uipasteboard, iOS 3.
public final class UIPasteboard {
  public class var general: UIPasteboard { fatalError() }
  public var string: String? {
    get { fatalError() }
    set { fatalError() }
  }
  public func setData(_ data: Data, forPasteboardType: String) { fatalError() }
}

extension ProcessInfo {
  /// documentation/foundation/processinfo/thermalstate-swift.property, iOS 11.
  public enum ThermalState: Int, Sendable { case nominal, fair, serious, critical }
  public var thermalState: ThermalState { fatalError() }
  /// documentation/foundation/processinfo/thermalstatedidchangenotification, iOS 11.
  public static let thermalStateDidChangeNotification = Notification.Name("thermal")
  /// documentation/foundation/processinfo/islowpowermodeenabled, iOS 9.
  public var isLowPowerModeEnabled: Bool { fatalError() }
}

extension Notification.Name {
  /// documentation/foundation/nsnotification/name-swift.struct/nsprocessinfopowerstatedidchange, iOS 9.
  public static let NSProcessInfoPowerStateDidChange = Notification.Name("power")
}

extension NotificationCenter {
  /// documentation/foundation/notificationcenter/notifications(named:object:), iOS 15.
  public func notifications(named: Notification.Name) -> AsyncStream<Notification> { fatalError() }
}

/// documentation/foundation/notification, iOS 2; Foundation on Apple systems lets it be sent.
extension Notification: @unchecked @retroactive Sendable {}

extension URL {
  /// documentation/foundation/url/applicationsupportdirectory, iOS 16.
  public static var applicationSupportDirectory: URL { fatalError() }
  /// documentation/foundation/url/startaccessingsecurityscopedresource(), iOS 8.
  public func startAccessingSecurityScopedResource() -> Bool { fatalError() }
  /// documentation/foundation/url/stopaccessingsecurityscopedresource(), iOS 8.
  public func stopAccessingSecurityScopedResource() { fatalError() }
}

/// documentation/foundation/nsfilecoordinator, iOS 5.
public final class NSFileCoordinator {
  public init() { fatalError() }
  public struct ReadingOptions: OptionSet, Sendable {
    public let rawValue: UInt
    public init(rawValue: UInt) { self.rawValue = rawValue }
  }
  /// documentation/foundation/nsfilecoordinator/coordinate(readingitemat:options:error:byaccessor:), iOS 5.
  public func coordinate(
    readingItemAt url: URL, options: ReadingOptions = [], error: UnsafeMutablePointer<NSError?>?,
    byAccessor reader: (URL) -> Void
  ) { fatalError() }
}
