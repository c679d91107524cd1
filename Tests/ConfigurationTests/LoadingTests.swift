import Basics
import JSON
import Testing

@testable import Configuration

@Suite struct LoadingTests {
  @Test func `the smallest file is valid and everything else has its default`() throws {
    let configuration = try Configuration.parse(Configuration.smallest)
    #expect(configuration.listen.description == "127.0.0.1:8080")
    #expect(configuration.publicURL.origin == "http://localhost:8080")
    #expect(configuration.tls == nil && configuration.admin == nil && configuration.workers == nil)
    #expect(configuration.oidc.scope == ["openid", "profile", "offline_access"])
    #expect(configuration.oidc.tokenEndpointAuthMethod == .clientSecretBasic)
    #expect(configuration.redirectURI(of: configuration.oidc) == "http://localhost:8080/auth/callback")
    #expect(configuration.postLogoutRedirectURI(of: configuration.oidc) == "http://localhost:8080/")
    let route = try #require(configuration.routes.first)
    #expect(route.authorization == .bearer && route.session == .required && route.mcp)
    #expect(route.upstream.path == "/mcp" && route.scope == ["tools.use"])
    #expect(configuration.session.idleTimeout == .seconds(8 * 3600))
    #expect(configuration.session.absoluteTimeout == .seconds(7 * 86400))
    #expect(configuration.session.store.type == .sqlite && configuration.session.store.path == nil)
    #expect(configuration.timeouts.responseHeaders == .seconds(300))
    #expect(configuration.limits.headerBytes.bytes == 32 << 10)
    #expect(configuration.log.level == .info && configuration.log.format == .json)
  }

  @Test func `the complete example sets every property it names`() throws {
    let configuration = try Configuration.parse(Configuration.example())
    let tls = try #require(configuration.tls)
    #expect(tls.minVersion == .tls12 && tls.certificates.count == 1)
    #expect(configuration.trustedProxies.map(\.text) == ["10.0.0.0/8"])
    #expect(configuration.workers == 2)
    #expect(configuration.oidc.signingAlg == .PS256 && configuration.oidc.keyID == "2026-01")
    #expect(configuration.oidc.extraAuthorizationParams == [.init(name: "domain_hint", value: "example.com")])
    #expect(
      configuration.oidc.acrValues == ["urn:example:mfa"] && configuration.oidc.prompt == "select_account")
    #expect(configuration.routes.map(\.path) == ["/mcp", "/files", "/"])
    #expect(configuration.routes.map(\.mcp) == [true, true, false])
    #expect(configuration.routes[0].resource == "https://tools.example.com/mcp")
    #expect(configuration.routes[0].passCookies == ["theme"] && configuration.routes[0].maxConnections == 256)
    #expect(configuration.routes[0].passResponseHeaders == ["set-cookie"])
    #expect(configuration.routes[2].session == .optional)
    #expect(configuration.session.encryptionKeyFiles == ["/etc/coatcheck/session.key"])
    #expect(configuration.session.claims == ["email"] && configuration.consent.codes == [-32050])
    #expect(configuration.csrf.allowedOrigins == ["https://app.example.com"])
    #expect(configuration.admin?.listen.port == 9090)
  }

  @Test func `relative paths are relative to the directory of the file, absolute ones are not`() throws {
    let value = Sample.with([
      ("oidc.client_secret_file", "secrets/client"), ("oidc.ca_file", "/etc/ca.pem"),
      ("session.store.path", "data/sessions.db"), ("session.encryption_key_files", ["a.key"]),
    ])
    let configuration = try Sample.parse(value, directory: "/etc/coatcheck")
    #expect(configuration.oidc.clientSecretFile == "/etc/coatcheck/secrets/client")
    #expect(configuration.oidc.caFile == "/etc/ca.pem")
    #expect(configuration.session.store.path == "/etc/coatcheck/data/sessions.db")
    #expect(configuration.session.encryptionKeyFiles == ["/etc/coatcheck/a.key"])
    #expect(try Sample.parse(value).oidc.clientSecretFile == "secrets/client")
  }

  @Test(arguments: [
    (["STATE_DIRECTORY": "/var/lib/coatcheck"], "/var/lib/coatcheck/coatcheck.db"),
    (["STATE_DIRECTORY": "/a:/b"], "/a/coatcheck.db"), ([:], "coatcheck.db"),
    (["STATE_DIRECTORY": ""], "coatcheck.db"),
  ])
  func `the store is in the state directory or the working directory`(
    environment: [String: String], path: String
  ) {
    #expect(Configuration.Session.Store.defaultPath(environment: environment) == path)
  }

  @Test(arguments: [
    ("/var/lib/a/sessions.db", "/var/lib/a/sessions.key"), ("sessions.db", "sessions.key"),
    ("/a.b/store", "/a.b/store.key"),
    ("/a/.db", "/a/.db.key"), ("/s.db", "/s.key"),
  ])
  func `a key that is made stands beside the store under another name`(store: String, key: String) throws {
    let sqlite = try Sample.parse(("session.store.path", .string(store))).session.store
    #expect(sqlite.file(environment: [:]) == store && sqlite.keyFile(environment: [:]) == key)
    let memory = try Sample.parse(("session.store", ["type": "memory"])).session.store
    #expect(memory.file(environment: [:]) == nil && memory.keyFile(environment: [:]) == nil)
  }

  @Test func `the cookie loses its host prefix exactly when the public URL is http`() throws {
    #expect(try Sample.parse().session.cookieName == "coatcheck")
    #expect(try Sample.parse(("public_url", "https://a.example")).session.cookieName == "__Host-coatcheck")
    #expect(try Sample.parse(("session.cookie_name", "mine")).session.cookieName == "mine")
  }

  @Test func `a held body is never longer than a body may be`() throws {
    let limits = try Sample.parse(("limits.request_body", "64KiB")).limits
    #expect(limits.bufferedBody == limits.requestBody)
  }

  @Test func `a route speaks MCP when it has a token, unless it says otherwise`() throws {
    #expect(try Sample.parse(("routes[0].mcp", false)).routes[0].mcp == false)
    let plain = try Sample.parse(("routes[0].authorization", "none"), ("routes[0].scope", nil))
    #expect(plain.routes[0].mcp == false)
    let told = try Sample.parse(
      ("routes[0].authorization", "none"), ("routes[0].scope", nil), ("routes[0].mcp", true))
    #expect(told.routes[0].mcp)
  }

  @Test(arguments: ["scope", "resource", "oidc scope", "audience"])
  func `a route with a token names its API in one of several places`(place: String) throws {
    let changes: [(String, JSONValue?)] =
      switch place {
      case "scope": []
      case "resource": [("routes[0].scope", nil), ("routes[0].resource", "https://api.example/mcp")]
      case "oidc scope": [("routes[0].scope", nil), ("oidc.scope", "openid api://app/use")]
      default: [("routes[0].scope", nil), ("oidc.extra_authorization_params", ["audience": "api"])]
      }
    #expect(try Sample.parse(Sample.with(changes)).routes.count == 1)
  }

  @Test func `a slash at the end of a route's path does not count`() throws {
    #expect(try Sample.parse(("routes[0].path", "/mcp/")).routes[0].path == "/mcp")
    #expect(try Sample.parse(("routes[0].path", "/")).routes[0].path == "/")
  }

  @Test func `origins are brought to the form that browsers send`() throws {
    let origins = try Sample.parse(
      ("csrf.allowed_origins", ["HTTPS://App.Example.com:443", "http://localhost:5173"])
    ).csrf.allowedOrigins
    #expect(origins == ["https://app.example.com", "http://localhost:5173"])
  }

  @Test func `the issuer keeps the spelling that the provider's is compared with`() throws {
    let issuer = try Sample.parse(("oidc.issuer", "https://login.example.com/")).oidc.issuer
    #expect(issuer.text == "https://login.example.com/")
    #expect(
      try Sample.parse(("oidc.issuer", "https://login.example.com/t/v2.0")).oidc.issuer.path == "/t/v2.0")
  }
}
