internal import ArgumentParser
internal import Basics
internal import Configuration
internal import Gateway
internal import Glibc
internal import Logging
internal import Reactor

/// `coatcheck run proxy.json`.
struct Run: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run the proxy until SIGTERM or SIGINT.",
    discussion:
      "SIGHUP: read certificates, their keys and the sealing keys again. Connections and sessions go on.")

  @Argument(help: "The configuration file.")
  var file: String

  func run() async throws {
    let configuration = Console.load(file)
    let environment = Console.environment
    let problems = configuration.fileProblems(environment: environment)
    if !problems.isEmpty {
      Console.fail(problems.map(\.problem.description).joined(separator: "\n"), ExitStatus.configuration)
    }
    let sink = LogSink()
    let format: LogFormat = configuration.log.format == .json ? .json : .text
    let level = Logger.Level(rawValue: configuration.log.level.rawValue) ?? .info
    LoggingSystem.bootstrap { LineLogHandler(label: $0, sink: sink, format: format, level: level) }
    let gateway = Gateway(
      configuration: configuration, environment: environment, logger: Logger(label: "gateway"), sink: sink,
      configurationFile: file)
    let signals = StopSignals()
    let hangUp = SignalSource(.hangUp) { Task { await gateway.reload() } }
    defer { withExtendedLifetime(hangUp) {} }
    do {
      try await gateway.start()
    } catch {
      sink.drain()
      Console.fail("\(error)", error.isConfiguration ? ExitStatus.configuration : ExitStatus.failure)
    }
    await signals.first()
    // From here on a second signal means: at once.
    signals.exitOnNext()
    await gateway.stop()
    sink.drain()
    Console.end(0)
  }
}
