internal import ArgumentParser
internal import Sessions

/// `coatcheck key`.
struct Key: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print a new sealing key for session.encryption_key_files.",
    discussion:
      "Keep it in a file that only the proxy can read: coatcheck key > session.key && chmod 600 session.key")

  func run() throws { print(SealingKey.make().reveal()) }
}
