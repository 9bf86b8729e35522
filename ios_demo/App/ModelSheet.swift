// SPDX-License-Identifier: Apache-2.0
import HqDit
import HqDitStudio
import SwiftUI

/// What the model is and needs, its licences, and how to bring another.
struct ModelSheet: View {
  let studio: Studio
  @State private var showsImporter = false
  @Environment(\.dismiss) private var dismiss

  var body: some View {
    NavigationStack {
      List {
        if let model = studio.model { ModelFacts(model: model) }
        Section("Another model") {
          Button("Import a bundle", systemImage: "square.and.arrow.down") { showsImporter = true }
          Button("Remove this bundle", role: .destructive) {
            Task {
              await studio.removeBundle()
              dismiss()
            }
          }
        }
        if let card = studio.model?.card {
          Section("Model card and licences") {
            Text(verbatim: card).font(.footnote).textSelection(.enabled)
          }
        }
      }
      .navigationTitle("Model")
      .toolbar {
        ToolbarItem(placement: .confirmationAction) { Button("Done") { dismiss() } }
      }
    }
    .bundleImporter(isPresented: $showsImporter, studio: studio)
    .onChange(of: studio.stage) { _, stage in if stage == .noBundle { dismiss() } }
  }
}

private struct ModelFacts: View {
  let model: LoadedModel

  var body: some View {
    Section("This model") {
      LabeledContent("Name", value: model.info.name)
      LabeledContent("Picture", value: "\(model.info.imageWidth) \u{D7} \(model.info.imageHeight)")
      LabeledContent("Size of the files", value: size(model.memory.fileBytes))
      LabeledContent("Memory needed", value: size(needed))
      LabeledContent("Opened in", value: model.openTime.formatted(.units(allowed: [.milliseconds])))
      LabeledContent("Engine", value: HqDit.version)
      if model.info.decodesTiled { Text("Decodes in tiles, to need less memory") }
    }
  }

  private var needed: UInt64 { model.info.decodesTiled ? model.memory.tiledPeakBytes : model.memory.peakBytes }

  private func size(_ bytes: UInt64) -> String { Int64(clamping: bytes).formatted(.byteCount(style: .memory)) }
}
