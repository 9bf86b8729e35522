// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI

/// Steps and guidance, for those who want to set them.
struct SettingsGroup: View {
  @Bindable var choices: Choices

  var body: some View {
    DisclosureGroup("Settings") {
      VStack(alignment: .leading, spacing: 12) {
        Stepper(value: $choices.steps, in: 1...choices.maxSteps) { Text("Steps: \(choices.steps)") }
        if choices.isGuided {
          VStack(alignment: .leading) {
            Text("Guidance: \(guidance)")
            Slider(value: $choices.guidanceScale, in: 1...10, step: 0.5) { Text("Guidance") }
              .accessibilityValue(Text(guidance))
          }
        }
      }
      .padding(.vertical, 8)
    }
  }

  private var guidance: String { choices.guidanceScale.formatted(.number.precision(.fractionLength(1))) }
}
