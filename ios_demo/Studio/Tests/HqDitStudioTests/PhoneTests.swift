// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import Testing

@Suite struct PhoneTests {
  @Test(arguments: [(0, false, Pace.full), (1, false, .full), (1, true, .slow), (2, false, .slow), (3, true, .stop)])
  func paceFollowsHeatAndBattery(thermalState: Int, lowPower: Bool, expected: Pace) {
    #expect(Pace(thermalState: thermalState, isLowPowerModeEnabled: lowPower) == expected)
  }

  @Test func memoryLimitLeavesAReserve() {
    #expect(MemoryGuard { 1 << 30 }.limitBytes == (1 << 30) - (64 << 20))
    #expect(MemoryGuard { 10 << 20 }.limitBytes == 1, "not 0, which would mean no limit")
    #expect(MemoryGuard { 0 }.limitBytes == 0, "the system does not say")
  }

  @Test func lowIsBelowTheFloor() {
    #expect(MemoryGuard { (32 << 20) - 1 }.isLow && MemoryGuard { 1 }.isLow)
    #expect(!MemoryGuard { 32 << 20 }.isLow && !MemoryGuard { 0 }.isLow)
  }
}
