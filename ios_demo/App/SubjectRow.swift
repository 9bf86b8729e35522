// SPDX-License-Identifier: Apache-2.0
import HqDit
import HqDitStudio
import SwiftUI

/// What to draw; opens a list to search in.
struct SubjectRow: View {
  let choices: Choices
  @State private var showsList = false

  var body: some View {
    LabeledContent("What") {
      Button(choices.subject) { showsList = true }
        .buttonStyle(.bordered)
        .accessibilityLabel("What to draw: \(choices.subject)")
    }
    .sheet(isPresented: $showsList) { SubjectList(choices: choices) }
  }
}

private struct SubjectList: View {
  let choices: Choices
  @State private var filter = ""
  @Environment(\.dismiss) private var dismiss

  var body: some View {
    NavigationStack {
      List(matches, id: \.self) { subject in
        Button(subject) {
          choices.choose(subject: subject)
          dismiss()
        }
        .accessibilityAddTraits(subject == choices.subject ? .isSelected : [])
      }
      .searchable(text: $filter, prompt: "Search")
      .navigationTitle("What")
      .toolbar {
        ToolbarItem(placement: .confirmationAction) { Button("Done") { dismiss() } }
      }
    }
  }

  /// Case, accents and wide letters do not matter.
  private var matches: [String] {
    let wanted = LabelSearch.fold(filter)
    return wanted.isEmpty ? choices.subjects : choices.subjects.filter { LabelSearch.fold($0).contains(wanted) }
  }
}
