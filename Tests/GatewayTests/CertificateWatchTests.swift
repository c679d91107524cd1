import Basics
import Foundation
import Logging
import Reactor
import Testing

@testable import Gateway

@Suite(.timeLimit(.minutes(1))) struct CertificateWatchTests {
  /// What the watch counted.
  private struct Counts: Sendable, Equatable {
    var taken = 0
    var refused = 0
  }

  /// A certificate's files and a watch on them.
  private final class Scene: Sendable {
    let directory: URL
    let loop = EventLoop(name: "watch")
    let watch: CertificateWatch
    let counts = Locked(Counts())

    init() throws {
      directory = FileManager.default.temporaryDirectory.appending(path: "watch-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
      let process = Process()
      process.executableURL = URL(filePath: "/usr/bin/env")
      process.arguments =
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        + ["-days", "3", "-subj", "/CN=watch.test", "-keyout", "tls.key", "-out", "tls.crt"]
      process.currentDirectoryURL = directory
      process.standardError = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      let files = ["tls.crt", "tls.key"].map { [directory] in directory.appending(path: $0).path }
      let front = try TLSServerContext(
        identities: [TLSIdentityFiles(certificateFile: files[0], privateKeyFile: files[1])])
      loop.start()
      watch = CertificateWatch(
        loop: loop, front: front, clients: [], files: files, blocking: BlockingPool(),
        log: EventLog(logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })),
        clock: Timestamp.now,
        count: { [counts] worked in
          counts.withLock { if worked { $0.taken += 1 } else { $0.refused += 1 } }
        })
    }

    var counted: Counts { counts.withLock { $0 } }

    /// Writes a file anew, in place.
    func write(_ name: String, _ content: String? = nil) throws {
      let file = directory.appending(path: name)
      let bytes = try content.map { Data($0.utf8) } ?? Data(contentsOf: file)
      try FileManager.default.removeItem(at: file)
      try bytes.write(to: file)
    }

    func end() async {
      await loop.stop()
      try? FileManager.default.removeItem(at: directory)
    }
  }

  @Test func `what changed is read when it is the same at two looks in a row`() async throws {
    let scene = try Scene()
    await scene.watch.look()
    #expect(scene.counted == Counts())
    try scene.write("tls.crt")
    await scene.watch.look()
    #expect(scene.counted == Counts(), "the key may be on its way")
    try scene.write("tls.key")
    await scene.watch.look()
    #expect(scene.counted == Counts(), "something else may be on its way")
    await scene.watch.look()
    #expect(scene.counted == Counts(taken: 1))
    await scene.watch.look()
    #expect(scene.counted == Counts(taken: 1), "nothing has changed since")
    await scene.end()
  }

  @Test func `what is not sound is told once and read again when it changes`() async throws {
    let scene = try Scene()
    let key = try String(contentsOf: scene.directory.appending(path: "tls.key"), encoding: .utf8)
    try scene.write("tls.key", "nothing")
    for _ in 0..<4 { await scene.watch.look() }
    #expect(scene.counted == Counts(refused: 1))
    try scene.write("tls.key", key)
    for _ in 0..<4 { await scene.watch.look() }
    #expect(scene.counted == Counts(taken: 1, refused: 1))
    await scene.end()
  }

  @Test func `whoever asks for a reading gets one, also many at a time`() async throws {
    let scene = try Scene()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<5 { group.addTask { await scene.watch.reload() } }
    }
    #expect(scene.counted == Counts(taken: 5))
    await scene.end()
  }
}
