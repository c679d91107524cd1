// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .enableExperimentalFeature("Lifetimes"),
]

/// For modules of values: the hot path calls them on every request, and without this the optimiser stops at their borders. Not for modules
/// of classes: what other modules can be given a copy of keeps its checks of exclusive access at run time.
let inlinable =
  settings + [
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))
  ]

func module(
  _ name: String, _ dependencies: [Target.Dependency] = [], _ settings: [SwiftSetting] = settings
) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: name + "Tests", dependencies: [.byName(name: name)] + dependencies, swiftSettings: settings)
}

let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let jwt: Target.Dependency = .product(name: "JWTKit", package: "jwt-kit")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

/// From the ground up: a module imports only what stands above it in this list.
let modules: [Target] = [
  .target(name: "CLinux"),
  .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
  .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
  module("Basics", ["CLinux"], inlinable),
  module("JSON", ["Basics"], inlinable),
  module("HTTP", ["Basics", "CZlib"], inlinable),
  module("Reactor", ["Basics", "CLinux", "COpenSSL"]),
  module("Redis", ["Basics", "COpenSSL", "Reactor"]),
  module("Wire", ["Basics", "HTTP", "Reactor"]),
  module("OAuth", ["Basics", "HTTP", "JSON", crypto, jwt]),
  module("Sessions", ["Basics", "Redis", crypto, grdb]),
  module("MCP", ["Basics", "JSON"], inlinable),
  module("Consent", ["Basics", "HTTP", "JSON", "MCP", "OAuth"]),
  module("Configuration", ["Basics", "JSON"]),
  module(
    "Gateway",
    [
      "Basics", "Configuration", "Consent", "HTTP", "JSON", "MCP", "OAuth", "Reactor", "Redis", "Sessions",
      "Wire",
      crypto,
      logging,
    ]),
  .executableTarget(
    name: "coatcheck",
    dependencies: ["Basics", "Configuration", "Gateway", "Reactor", "Sessions", arguments, logging],
    swiftSettings: settings),
]

let testModules: [Target] = [
  // Measures full stores; for scripts/scale.
  .executableTarget(
    name: "coatcheck-scale", dependencies: ["Basics", "Reactor", "Redis", "Sessions", arguments],
    path: "Tests/Scale", swiftSettings: settings),
  // What the tests of several modules use.
  .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
  tests("Basics"),
  tests("JSON", ["Basics"]),
  tests("HTTP", ["Basics"]),
  tests("Reactor", ["Basics"]),
  tests("Redis", ["Basics", "Reactor", "TestSupport"]),
  tests("Wire", ["Basics", "HTTP", "Reactor"]),
  tests("OAuth", ["Basics", "HTTP", "JSON", crypto, jwt]),
  tests("Sessions", ["Basics", "Reactor", "Redis", "TestSupport", crypto, grdb]),
  tests("MCP", ["Basics", "JSON", "TestSupport"]),
  tests("Consent", ["Basics", "HTTP", "JSON", "MCP", "OAuth", "TestSupport"]),
  tests("Configuration", ["Basics", "JSON"]),
  tests(
    "Gateway",
    [
      "Basics", "Configuration", "Consent", "HTTP", "JSON", "MCP", "OAuth", "Reactor", "Redis", "Sessions",
      "Wire",
      crypto,
      logging,
    ]),
]

let package = Package(
  name: "coatcheck",
  products: [.executable(name: "coatcheck", targets: ["coatcheck"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
  ],
  targets: modules + testModules,
  swiftLanguageModes: [.v6]
)
