// SPDX-License-Identifier: Apache-2.0

/// How hard to work, by the temperature and the battery of the phone.
public enum Pace: Sendable, Hashable {
  case full

  /// Rest as long as a step takes after each one: about half the heat.
  case slow

  /// Stop drawing.
  case stop

  /// - Parameter thermalState: the number of a `ProcessInfo.ThermalState`: nominal 0, fair 1, serious 2, critical 3.
  public init(thermalState: Int, isLowPowerModeEnabled: Bool) {
    self =
      switch thermalState {
      case 3...: .stop
      case 2: .slow
      default: isLowPowerModeEnabled ? .slow : .full
      }
  }
}
