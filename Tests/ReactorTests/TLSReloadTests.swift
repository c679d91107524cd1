import Basics
import Foundation
import Testing

@testable import Reactor

/// Files of a certificate that a test exchanges.
private struct Place {
  let directory: URL
  let files: TLSIdentityFiles

  init(_ name: String) throws {
    directory = FileManager.default.temporaryDirectory.appending(path: "reload-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    files = TLSIdentityFiles(
      certificateFile: directory.appending(path: "tls.crt").path,
      privateKeyFile: directory.appending(path: "tls.key").path)
    try put(certificate: name, key: name)
  }

  func put(certificate: String, key: String) throws {
    for (source, target) in [
      (certificate + ".pem", files.certificateFile), (key + ".key", files.privateKeyFile),
    ] {
      try Data(contentsOf: URL(filePath: Certificates.file(source))).write(to: URL(filePath: target))
    }
  }

  func remove() { try? FileManager.default.removeItem(at: directory) }
}

@Suite(.timeLimit(.minutes(2))) struct TLSReloadTests {
  /// Says whether the handshake worked, and closes.
  private func meets(
    _ loop: EventLoop, _ server: TLSServerContext, _ client: TLSClientContext, as host: String
  ) async throws -> (isDone: Bool, isResumed: Bool) {
    let (a, b) = try tlsPair(loop, server, client, host: host)
    let outcome = await shakeHands(a, b)
    let isResumed = b.stream.isResumed
    if outcome == (.done, .done) {
      _ = await a.write("x")
      _ = await b.text(1)
    }
    b.stream.close()
    a.stream.close()
    return (outcome == (.done, .done), isResumed)
  }

  @Test func `new connections see the new certificate and open ones go on`() async throws {
    try await onNewLoop { loop in
      let place = try Place("upstream")
      defer { place.remove() }
      let server = try TLSServerContext(identities: [place.files])
      let (a, b) = try tlsPair(loop, server, trusting(), host: "upstream.test")
      #expect(await shakeHands(a, b) == (.done, .done))
      // Begun before, ended after.
      let (c, d) = try tlsPair(loop, server, trusting(), host: "upstream.test")
      _ = d.stream.handshake()
      try place.put(certificate: "wild", key: "wild")
      #expect(server.reload().isEmpty)
      #expect(await shakeHands(c, d) == (.done, .done))
      #expect(await a.write("still here") == .bytes(10))
      #expect(await b.text(10).0 == "still here")
      #expect(try await meets(loop, server, trusting(), as: "a.wild.test").isDone)
      #expect(try await !meets(loop, server, trusting(), as: "upstream.test").isDone)
    }
  }

  @Test func `sessions are taken up across a reload`() async throws {
    try await onNewLoop { loop in
      let server = try serving("upstream")
      let client = try trusting()
      #expect(try await !meets(loop, server, client, as: "upstream.test").isResumed)
      #expect(server.reload().isEmpty)
      #expect(try await meets(loop, server, client, as: "upstream.test").isResumed)
    }
  }

  @Test(arguments: [("wild", "upstream"), ("upstream", "wild"), ("upstream", "locked")])
  func `a pair that does not fit changes nothing`(_ certificate: String, _ key: String) async throws {
    try await onNewLoop { loop in
      let place = try Place("upstream")
      defer { place.remove() }
      let server = try TLSServerContext(identities: [place.files])
      let before = server.facts
      try place.put(certificate: certificate, key: key)
      let problems = server.reload()
      #expect(problems.count == 1)
      #expect(problems.first?.description.contains(place.files.privateKeyFile) == true)
      #expect(server.facts == before)
      #expect(try await meets(loop, server, trusting(), as: "upstream.test").isDone)
    }
  }

  @Test func `a broken certificate does not keep the others from being renewed`() async throws {
    try await onNewLoop { loop in
      let (first, second) = (try Place("upstream"), try Place("wild"))
      defer {
        first.remove()
        second.remove()
      }
      let server = try TLSServerContext(identities: [first.files, second.files])
      try Data("nothing".utf8).write(to: URL(filePath: first.files.certificateFile))
      try second.put(certificate: "foreign", key: "foreign")
      #expect(server.reload().map { $0.description.contains(first.files.certificateFile) } == [true])
      #expect(try await meets(loop, server, trusting(), as: "localhost").isDone)
      #expect(try await !meets(loop, server, trusting(), as: "a.wild.test").isDone)
      // Both are chosen by name as before.
      try second.put(certificate: "wild", key: "wild")
      _ = server.reload()
      #expect(try await meets(loop, server, trusting(), as: "a.wild.test").isDone)
      #expect(try await meets(loop, server, trusting(), as: "upstream.test").isDone)
    }
  }

  @Test func `a client presents its new certificate and takes up no session of the old one`() async throws {
    try await onNewLoop { loop in
      let place = try Place("common")
      defer { place.remove() }
      let client = try TLSClientContext(caFile: Certificates.file("ca.pem"), identity: place.files)
      let server = try demanding()
      #expect(try await meets(loop, server, client, as: "upstream.test").isDone)
      #expect(try await meets(loop, server, client, as: "upstream.test").isResumed)
      let before = client.facts
      try place.put(certificate: "foreign", key: "upstream")
      #expect(throws: ReactorError.self) { try client.reload() }
      #expect(client.facts == before)
      #expect(try await meets(loop, server, client, as: "upstream.test").isDone)
      try place.put(certificate: "foreign", key: "foreign")
      try client.reload()
      #expect(try await !meets(loop, server, client, as: "upstream.test").isDone)
      try place.put(certificate: "wild", key: "wild")
      try client.reload()
      let last = try await meets(loop, server, client, as: "upstream.test")
      #expect(last.isDone && !last.isResumed)
    }
  }

  @Test func `a certificate's days are known`() throws {
    let facts = try #require(try serving("upstream").facts.first)
    #expect(facts.file == Certificates.file("upstream.pem"))
    #expect(facts.notAfter - facts.notBefore == .seconds(3 * 86_400))
    #expect(facts.notBefore <= Timestamp.now() && facts.notAfter > Timestamp.now())
    #expect(facts.ocspProblem == nil)
  }
}
