// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI

/// Draws pictures with a 4-bit Diffusion Transformer, on this device alone.
@main
struct HqDitDemoApp: App {
  @State private var choices = Choices()

  var body: some Scene {
    WindowGroup {
      RootView(studio: .shared, choices: choices)
    }
  }
}

/// Loads the model, and tells the studio what the system says.
private struct RootView: View {
  let studio: Studio
  let choices: Choices
  @Environment(\.scenePhase) private var scenePhase

  var body: some View {
    DrawScreen(studio: studio, choices: choices)
      .task { await studio.load() }
      .task { for await pace in Device.paces() { studio.pace = pace } }
      .task { for await _ in Device.memoryWarnings() { await studio.releaseMemory() } }
      .onChange(of: studio.model) { _, model in if let model { choices.use(model) } }
      .onChange(of: scenePhase) { _, phase in if phase == .background { leave() } }
      .onChange(of: studio.stage) { _, stage in Device.keepAwake(stage == .drawing) }
  }

  /// The system gives some seconds to finish a picture; a model that nobody looks at takes no memory.
  private func leave() {
    let time = BackgroundTime()
    Task {
      await studio.finishOrStop(when: time.isOver)
      time.end()
    }
  }
}
