internal import ArgumentParser
internal import Configuration

/// `coatcheck schema`.
struct Schema: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Print the JSON Schema of the configuration.")

  func run() throws { print(Configuration.schema()) }
}
