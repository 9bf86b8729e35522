// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import Testing

@Suite struct LabelCatalogTests {
  @Test func subjectsAndStyles() {
    let catalog = LabelCatalog(["face noto", "face flat", "round fruit noto", "heart noto", "heart flat"])
    #expect(catalog.subjects == ["face", "round fruit", "heart"])
    #expect(catalog.styles == ["noto", "flat"])
    #expect(catalog.styles(of: "round fruit") == ["noto"])
    #expect(catalog.label(subject: "heart", style: "flat") == 4)
    #expect(catalog.label(subject: "round fruit", style: "flat") == nil)
    #expect(catalog.label(subject: "heart", style: nil) == nil)
  }

  @Test func aPlainListStaysOne() {
    let labels = ["tench, Tinca tinca", "goldfish, Carassius auratus", "great white shark", "cock", "hen"]
    let catalog = LabelCatalog(labels)
    #expect(catalog.subjects == labels && catalog.styles.isEmpty && catalog.styles(of: "cock").isEmpty)
    #expect(catalog.label(subject: "cock", style: nil) == 3)
  }

  @Test func lastWordsThatHardlyRepeatAreNoStyles() {
    let labels = ["green snake", "king snake", "night owl", "great horned beetle", "barn door"]
    #expect(LabelCatalog(labels).subjects == labels)
  }

  @Test func twoLabelsOfOneNameGiveTheFirst() {
    let catalog = LabelCatalog(["crane", "crane", "maillot"])
    #expect(catalog.subjects == ["crane", "maillot"])
    #expect(catalog.label(subject: "crane", style: nil) == 0 && catalog.label(subject: "maillot", style: nil) == 2)
  }
}
