// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI

/// One chip per style, one of them chosen; nothing for a model without styles.
struct StyleChips: View {
  let choices: Choices

  var body: some View {
    if !choices.styles.isEmpty {
      ScrollView(.horizontal, showsIndicators: false) {
        HStack(spacing: 8) {
          ForEach(choices.styles, id: \.self) { style in
            chip(style, isChosen: style == choices.style)
          }
        }
      }
      .accessibilityElement(children: .contain)
      .accessibilityLabel("Style")
      .sensoryFeedback(.selection, trigger: choices.style)
    }
  }

  /// The chosen one is told by a check mark as well as by its colour.
  @ViewBuilder private func chip(_ style: String, isChosen: Bool) -> some View {
    let button = Button {
      choices.choose(style: style)
    } label: {
      if isChosen { Label(style, systemImage: "checkmark") } else { Text(style) }
    }
    if isChosen {
      button.buttonStyle(.borderedProminent).accessibilityAddTraits(.isSelected)
    } else {
      button.buttonStyle(.bordered)
    }
  }
}
