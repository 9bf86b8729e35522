// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI

/// The one screen: the picture first, below it or beside it what to draw.
struct DrawScreen: View {
  let studio: Studio
  let choices: Choices
  @Environment(\.horizontalSizeClass) private var width
  @Environment(\.verticalSizeClass) private var height
  @State private var showsModel = false
  @State private var showsImporter = false

  var body: some View {
    NavigationStack {
      content
        .navigationTitle(studio.model?.info.name ?? "HQ-DiT")
        .navigationBarTitleDisplayMode(.inline)
        .toolbar {
          ToolbarItem(placement: .primaryAction) {
            Button("Model", systemImage: "shippingbox") { showsModel = true }
              .disabled(studio.stage == .drawing)
          }
        }
    }
    .sheet(isPresented: $showsModel) { ModelSheet(studio: studio) }
    .bundleImporter(isPresented: $showsImporter, studio: studio)
    .sensoryFeedback(.success, trigger: studio.finished)
    .sensoryFeedback(trigger: studio.notice) { _, notice in
      if case .problem? = notice { .error } else { nil }
    }
    .announcing(studio)
  }

  @ViewBuilder private var content: some View {
    if studio.stage == .noBundle {
      NoBundleView(notice: studio.notice) { showsImporter = true }
    } else if studio.model == nil {
      ProgressView("Loading the model")
    } else if width == .regular || height == .compact {
      HStack(alignment: .top, spacing: 24) {
        ScrollView { pictures }
        ScrollView { controls }
      }
      .padding(.horizontal)
    } else {
      ScrollView {
        VStack(spacing: 20) {
          pictures
          controls
        }
        .padding(.horizontal)
      }
    }
  }

  private var pictures: some View {
    VStack(spacing: 12) {
      PictureArea(studio: studio)
      ProgressLine(drawing: studio.drawing)
      if let notice = studio.notice { NoticeBar(notice: notice, dismiss: studio.dismissNotice) }
      if studio.stage == .ready, !studio.finished.isEmpty {
        PictureActions(finished: studio.finished, choices: choices)
      }
      if let numbers = studio.numbers { NumbersCard(numbers: numbers, pace: studio.pace) }
    }
  }

  private var controls: some View {
    VStack(alignment: .leading, spacing: 16) {
      DrawButtons(studio: studio, choices: choices)
      SubjectRow(choices: choices)
      StyleChips(choices: choices)
      SeedRow(choices: choices)
      SettingsGroup(choices: choices)
      RecentStrip(recent: studio.recent, choices: choices)
    }
    .padding(.bottom)
  }
}

/// The first start.
private struct NoBundleView: View {
  let notice: Notice?
  let importBundle: @MainActor () -> Void

  var body: some View {
    ContentUnavailableView {
      Label("No model yet", systemImage: "shippingbox")
    } description: {
      if let notice {
        NoticeText(notice: notice)
      } else {
        Text("Import a bundle that hqdit-export made: its folder, or a zip file of it.")
      }
    } actions: {
      Button("Import a bundle", systemImage: "square.and.arrow.down", action: importBundle)
        .buttonStyle(.borderedProminent)
    }
  }
}
