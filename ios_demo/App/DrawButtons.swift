// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI

/// Draw, four at once, or cancel: in a row where there is room, else one below the other.
struct DrawButtons: View {
  let studio: Studio
  let choices: Choices

  var body: some View {
    if studio.stage == .drawing {
      Button(action: studio.cancel) { Text("Cancel").frame(maxWidth: .infinity) }
        .buttonStyle(.bordered)
        .controlSize(.large)
        .keyboardShortcut(.cancelAction)
    } else {
      ViewThatFits(in: .horizontal) {
        HStack { buttons }
        VStack { buttons }
      }
      .disabled(studio.stage != .ready)
    }
  }

  @ViewBuilder private var buttons: some View {
    Button(action: draw([choices.seed])) { Text("Draw").bold().frame(maxWidth: .infinity) }
      .buttonStyle(.borderedProminent)
      .controlSize(.large)
      .keyboardShortcut(.defaultAction)
    Button(action: draw(choices.fourSeeds)) { Label("Four seeds", systemImage: "square.grid.2x2") }
      .buttonStyle(.bordered)
      .controlSize(.large)
      .accessibilityHint("Draws this seed and the three after it")
  }

  private func draw(_ seeds: [UInt64]) -> @MainActor () -> Void {
    { Task { await studio.draw(choices.wish, seeds: seeds) } }
  }
}
