internal import ArgumentParser
internal import Configuration
internal import Gateway
internal import Glibc

/// `coatcheck sessions …`.
struct SessionCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sessions",
    abstract: "See who is signed in at the running proxy, and sign people out.",
    discussion: "Asks the running proxy at admin.listen, with the token in admin.token_file.",
    subcommands: [List.self, Show.self, Revoke.self])

  /// Whose sessions.
  struct Who: ParsableArguments {
    @Option(help: "Subject, object id, user name or e-mail address, exactly.")
    var user: String?
    @Option(help: "Issuer, as the ID token names it.")
    var issuer: String?
    @Option(help: "Tenant, where users are known by tenant and object id.")
    var tenant: String?
    @Option(help: "Name of the configured provider.")
    var provider: String?

    var filter: OperatorClient.Filter {
      OperatorClient.Filter(user: user, issuer: issuer, tenant: tenant, provider: provider)
    }
    var isNobody: Bool { user == nil && issuer == nil && tenant == nil && provider == nil }
  }

  /// `coatcheck sessions list proxy.json`.
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List sessions.")

    @Argument(help: "The configuration file.")
    var file: String
    @OptionGroup var who: Who
    @Option(help: "Most sessions to list.")
    var limit = 1000
    @Flag(help: "One JSON object a line.")
    var json = false

    func validate() throws {
      guard limit > 0 else { throw ValidationError("--limit must be at least 1") }
    }

    func run() async throws {
      await SessionCommands.answer(file) { client throws(OperatorClient.Failure) in
        try await client.list(who.filter, limit: limit, asJSON: json)
      }
    }
  }

  /// `coatcheck sessions show proxy.json ID`.
  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show one session. Never a token.")

    @Argument(help: "The configuration file.")
    var file: String
    @Option(help: "The session, as list names it.")
    var id: String
    @Flag(help: "As JSON.")
    var json = false

    func run() async throws {
      await SessionCommands.answer(file) { client throws(OperatorClient.Failure) in
        try await client.show(id: id, asJSON: json)
      }
    }
  }

  /// `coatcheck sessions revoke proxy.json --user kim`.
  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "End sessions: one, all of a user, or all.",
      discussion: "Tickets are worth nothing at once, and running streams end.")

    @Argument(help: "The configuration file.")
    var file: String
    @Option(help: "The session, as list names it.")
    var id: String?
    @OptionGroup var who: Who
    @Flag(help: "Every session there is.")
    var all = false
    @Flag(help: "Do not ask before --all.")
    var yes = false
    @Flag(help: "As JSON.")
    var json = false

    func validate() throws {
      let ways = [id != nil, !who.isNobody, all].count { $0 }
      guard ways == 1, who.isNobody || who.user != nil else {
        throw ValidationError("name one of --id, --user (with --issuer, --tenant, --provider) and --all")
      }
    }

    func run() async throws {
      if all, !yes { confirm() }
      await SessionCommands.answer(file) { client throws(OperatorClient.Failure) in
        if let id { return try await client.revoke(id: id, asJSON: json) }
        if all { return try await client.revokeAll(asJSON: json) }
        return try await client.revoke(who.filter, asJSON: json)
      }
    }

    private func confirm() {
      guard isatty(0) == 1 else {
        Console.fail("nobody is there to ask: --yes ends every session without asking", ExitStatus.usage)
      }
      Console.note("End every session? Everybody has to sign in again. Type yes:")
      if readLine() != "yes" { Console.fail("nothing was ended", ExitStatus.failure) }
    }
  }

  /// Asks the running proxy and prints its answer, or ends the program with what went wrong.
  private static func answer(
    _ file: String, _ question: (OperatorClient) async throws(OperatorClient.Failure) -> String
  ) async {
    do throws(OperatorClient.Failure) {
      let client = try OperatorClient(configuration: Console.load(file))
      print(try await question(client), terminator: "")
      await client.close()
    } catch {
      let status =
        switch error.kind {
        case .configuration: ExitStatus.configuration
        case .unreachable: ExitStatus.unreachable
        case .refused: ExitStatus.refused
        case .unknown: ExitStatus.unknown
        case .failed: ExitStatus.failure
        }
      Console.fail(error.description, status)
    }
    Console.end(0)
  }
}
