internal import ArgumentParser

/// The command line.
@main
struct Coatcheck: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "coatcheck",
    abstract: "Identity passthrough reverse proxy for MCP servers.",
    discussion: """
      Signs users in with OpenID Connect, gives the browser nothing but a cookie, and sends each request upstream with that \
      user's own access token.
      """,
    version: "coatcheck \(Version.text)",
    subcommands: [Run.self, Check.self, Schema.self, Key.self, SessionCommands.self])
}

/// What this program calls itself.
enum Version {
  static let text = "0.1.0"
}

/// Exit codes beyond 0 (sysexits.h).
enum ExitStatus {
  /// The configuration is at fault: starting again will not help.
  static let configuration: Int32 = 78
  /// What was asked for does not make sense.
  static let usage: Int32 = 64
  /// There is no such session.
  static let unknown: Int32 = 66
  /// The running proxy does not answer.
  static let unreachable: Int32 = 69
  /// The running proxy wants another token.
  static let refused: Int32 = 77
  /// Anything else that keeps the program from running.
  static let failure: Int32 = 1
}
