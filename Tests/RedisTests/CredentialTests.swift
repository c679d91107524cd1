import Basics
import Reactor
import Redis
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct CredentialTests {
  @Test func `a password lets us in`() async throws {
    let server = try RedisServer(["--requirepass", "open sesame"], password: "open sesame")
    var settings = RedisSettings(nodes: [server.endpoint])
    settings.password = Secret("open sesame")
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "a", "b") == .text("OK"))
    }
  }

  @Test func `a user of the access list has its rights and no others`() async throws {
    let server = try RedisServer(["--user", "app", "on", ">secret", "~app:*", "+get", "+set"])
    var settings = RedisSettings(nodes: [server.endpoint])
    settings.username = "app"
    settings.password = Secret("secret")
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "app:a", "b") == .text("OK"))
      #expect(try await rig.send("SET", "other", "b").isError)
      #expect(try await rig.send("DEL", "app:a").isError)
    }
  }

  @Test func `a wrong password, and none, are named as the cause, and the password is nowhere`() async throws
  {
    let server = try RedisServer(["--requirepass", "open sesame"], password: "open sesame")
    var settings = RedisSettings(nodes: [server.endpoint])
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect("\(await rig.failure("GET", "a") as Any)".contains("wants a password (NOAUTH)"))
    }
    settings.password = Secret("open barley")
    try await Rig.with(settings) { (rig: Rig) async throws in
      let text = "\(await rig.failure("GET", "a") as Any)"
      #expect(text.contains("refuses our user or password (WRONGPASS)"))
      #expect(!text.contains("barley") && !"\(settings)".contains("barley"))
    }
    // What the server would repeat of an AUTH that it does not know.
    let renamed = try RedisServer(["--rename-command", "AUTH", ""])
    settings.nodes = [renamed.endpoint]
    try await Rig.with(settings) { (rig: Rig) async throws in
      let text = "\(await rig.failure("GET", "a") as Any)"
      #expect(text.contains("refuses our user or password (ERR)") && !text.contains("barley"))
    }
  }

  @Test func `every connection is in the database that was chosen`() async throws {
    let server = try RedisServer()
    var settings = RedisSettings(nodes: [server.endpoint])
    settings.database = 3
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "a", "b") == .text("OK"))
      #expect(try server.command("-n", "3", "GET", "a") == "b")
      #expect(try server.command("GET", "a") == "")
    }
    settings.database = 99
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect("\(await rig.failure("GET", "a") as Any)".contains("refuses database 99 (ERR)"))
    }
  }

  @Test func `over TLS the server has to prove its name`() async throws {
    let files = try TestAuthority()
    let server = try RedisServer(tls: (files.authority, files.certificate, files.key))
    var settings = RedisSettings(nodes: [RedisEndpoint(host: "127.0.0.1", port: server.tlsPort)])
    settings.tls = try TLSClientContext(caFile: files.authority, speaksHTTP: false)
    let large = String(repeating: "0123456789abcdef", count: 20_000)
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "a", large) == .text("OK"))
      #expect(try await rig.send("GET", "a") == .text(large))
      let heard = Heard()
      heard.subscribe(rig.client)
      try await rig.until { heard.all == [.connected] }
      _ = try await rig.send("PUBLISH", "news", large)
      try await rig.until { heard.all == [.connected, .text(large)] }
    }
    let stranger = try TestAuthority()
    settings.tls = try TLSClientContext(caFile: stranger.authority, speaksHTTP: false)
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect("\(await rig.failure("GET", "a") as Any)".contains("certificate"))
    }
    settings.nodes = [server.endpoint]
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(await rig.failure("GET", "a") != nil)
    }
  }

  @Test func `a server may want our certificate`() async throws {
    let files = try TestAuthority()
    let server = try RedisServer(
      ["--tls-auth-clients", "yes"], tls: (files.authority, files.certificate, files.key))
    var settings = RedisSettings(nodes: [RedisEndpoint(host: "127.0.0.1", port: server.tlsPort)])
    settings.tls = try TLSClientContext(caFile: files.authority, speaksHTTP: false)
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(await rig.failure("GET", "a") != nil)
    }
    settings.tls = try TLSClientContext(
      caFile: files.authority,
      identity: TLSIdentityFiles(certificateFile: files.certificate, privateKeyFile: files.key),
      speaksHTTP: false)
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(try await rig.send("GET", "a") == .null)
    }
  }
}
