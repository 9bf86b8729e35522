// swift-tools-version: 6.0
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let package = Package(
  name: "Studio",
  platforms: [.iOS(.v17), .macOS(.v14)],
  products: [.library(name: "HqDitStudio", targets: ["HqDitStudio"])],
  dependencies: [.package(path: "../HqDit")],
  targets: [
    .target(
      name: "HqDitStudio",
      dependencies: [.product(name: "HqDit", package: "HqDit"), .product(name: "CZlib", package: "HqDit")]
    ),
    .testTarget(name: "HqDitStudioTests", dependencies: ["HqDitStudio", .product(name: "CZlib", package: "HqDit")]),
  ],
  swiftLanguageModes: [.v6]
)
