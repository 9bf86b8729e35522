// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import UIKit
import os

/// What the system says of this device.
enum Device {
  static var pace: Pace {
    let info = ProcessInfo.processInfo
    return Pace(thermalState: info.thermalState.rawValue, isLowPowerModeEnabled: info.isLowPowerModeEnabled)
  }

  /// The pace now and whenever it changes.
  static func paces() -> AsyncStream<Pace> {
    AsyncStream { continuation in
      let tell: @Sendable () -> Void = { continuation.yield(pace) }
      // Asked once before it is watched: the notification of the thermal state comes only after that.
      tell()
      let watching = [ProcessInfo.thermalStateDidChangeNotification, .NSProcessInfoPowerStateDidChange].map { name in
        Task { for await _ in NotificationCenter.default.notifications(named: name) { tell() } }
      }
      continuation.onTermination = { _ in for task in watching { task.cancel() } }
    }
  }

  static func memoryWarnings() -> AsyncStream<Void> {
    AsyncStream { continuation in
      let name = UIApplication.didReceiveMemoryWarningNotification
      let watching = Task {
        for await _ in NotificationCenter.default.notifications(named: name) { continuation.yield() }
      }
      continuation.onTermination = { _ in watching.cancel() }
    }
  }

  /// What the app may still take before the system ends it; 0 in the simulator, which has no such limit.
  static let memory = MemoryGuard { UInt64(max(0, os_proc_available_memory())) }

  /// Leaves the screen on while a picture is drawn.
  @MainActor static func keepAwake(_ isDrawing: Bool) { UIApplication.shared.isIdleTimerDisabled = isDrawing }
}

extension Studio {
  /// The app's one: over its own folder, and the bundle that was packed into the app, if any.
  static let shared: Studio = {
    let support = URL.applicationSupportDirectory
    let packed = Bundle.main.resourceURL?.appendingPathComponent("Bundle", isDirectory: true)
    return Studio(
      store: BundleStore(root: support.appendingPathComponent("bundles"), packed: packed, memory: Device.memory),
      pictures: RecentPictures(folder: support.appendingPathComponent("pictures")),
      memory: Device.memory
    )
  }()
}
