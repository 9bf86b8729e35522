// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI
import UIKit

/// The seed: typed, rolled or pasted. The same seed gives the same picture.
struct SeedRow: View {
  let choices: Choices
  @State private var text = ""

  var body: some View {
    LabeledContent("Seed") {
      HStack {
        TextField("Seed", text: $text)
          .keyboardType(.numberPad)
          .frame(minWidth: 80)
          .multilineTextAlignment(.trailing)
        Button("Another seed", systemImage: "dice", action: choices.shuffleSeed)
          .labelStyle(.iconOnly)
          .frame(minWidth: 44, minHeight: 44)
        Button("Paste a seed", systemImage: "doc.on.clipboard") {
          _ = UIPasteboard.general.string.map(choices.setSeed)
        }
        .labelStyle(.iconOnly)
        .frame(minWidth: 44, minHeight: 44)
      }
    }
    .onChange(of: choices.seed, initial: true) { _, seed in text = String(seed) }
    .onChange(of: text) { _, typed in
      // What is no number stays in the field until the next one; an empty field keeps the seed.
      _ = choices.setSeed(typed)
    }
  }
}
