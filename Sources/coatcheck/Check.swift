internal import ArgumentParser
internal import Configuration
internal import Gateway
internal import Glibc
internal import Sessions

/// `coatcheck check proxy.json`.
struct Check: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Validate the configuration.",
    discussion: """
      Without --online only the file itself is judged; files it names are looked for and missing ones are told. With --online \
      the provider, the upstreams and Redis are talked to as well.
      """)

  @Argument(help: "The configuration file.")
  var file: String

  @Flag(help: "Also talk: discovery, token endpoint, clock, upstreams, Redis.")
  var online = false

  func run() async throws {
    let configuration = Console.load(file)
    for caution in configuration.cautions { Console.note("note: \(caution)") }
    let problems = configuration.fileProblems(environment: Console.environment)
    // A file that is not there yet is told; one that is there and wrong is an error in any case.
    let errors = problems.filter { online || !$0.isMissing }
    for problem in problems {
      Console.note("\(problem.isMissing && !online ? "note" : "error"): \(problem.problem)")
    }
    let keyFiles = configuration.session.encryptionKeyFiles
    let areKeysThere = !problems.contains { $0.problem.path.hasPrefix("session.encryption_key_files") }
    if areKeysThere, !keyFiles.isEmpty {
      do { _ = try KeyRing(files: keyFiles) } catch {
        Console.note("error: session.encryption_key_files: \(error)")
        Console.end(ExitStatus.configuration)
      }
    }
    if !errors.isEmpty { Console.end(ExitStatus.configuration) }
    print("\(file): the configuration is valid")
    guard online else { return }
    let findings = await OnlineCheck(configuration: configuration).run()
    for finding in findings { print(finding.description) }
    if findings.contains(where: { $0.level == .error }) { Console.end(ExitStatus.failure) }
  }
}
