// swift-tools-version: 6.0
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// On Apple systems the engine is the framework that ../build_framework.sh makes. On Linux, where only the tests run, it is
// libhqdit.so of the Python package.
#if os(Linux)
  let engine = Target.systemLibrary(name: "CHqDit")
#else
  let engine = Target.binaryTarget(name: "CHqDit", path: "CHqDit.xcframework")
#endif

let package = Package(
  name: "HqDit",
  platforms: [.iOS(.v17), .macOS(.v14)],
  products: [
    .library(name: "HqDit", targets: ["HqDit"]),
    .library(name: "CZlib", targets: ["CZlib"]),
    .executable(name: "hqdit-draw", targets: ["hqdit-draw"]),
  ],
  targets: [
    engine,
    .systemLibrary(name: "CZlib"),
    .target(name: "HqDit", dependencies: ["CHqDit", "CZlib"]),
    .executableTarget(name: "hqdit-draw", dependencies: ["HqDit"]),
    .testTarget(name: "HqDitTests", dependencies: ["HqDit"]),
  ],
  swiftLanguageModes: [.v6]
)
