internal import ArgumentParser
internal import Configuration
internal import Gateway
internal import Glibc

/// `coatcheck check proxy.json`.
struct Check: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Validate the configuration.",
    discussion: """
      Without --online only the file itself is judged; files it names are looked for and missing ones are told. With --online \
      the provider and the upstreams are talked to as well.
      """)

  @Argument(help: "The configuration file.")
  var file: String

  @Flag(help: "Also talk: discovery, token endpoint, clock, upstreams.")
  var online = false

  func run() async throws {
    let configuration = try Console.load(file)
    let problems = configuration.fileProblems(environment: Console.environment)
    for problem in problems { Console.note("\(online ? "error" : "note"): \(problem.problem)") }
    print("\(file): the configuration is valid")
    guard online else { return }
    if !problems.isEmpty { Console.end(ExitStatus.configuration) }
    let findings = await OnlineCheck(configuration: configuration).run()
    for finding in findings { print(finding.description) }
    if findings.contains(where: { $0.level == .error }) { Console.end(ExitStatus.failure) }
  }
}
