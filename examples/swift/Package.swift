// swift-tools-version: 6.0
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let package = Package(
  name: "draw",
  platforms: [.iOS(.v17), .macOS(.v14)],
  dependencies: [.package(path: "../../ios_demo/HqDit")],
  targets: [.executableTarget(name: "draw", dependencies: ["HqDit"], path: "Sources")],
  swiftLanguageModes: [.v6]
)
