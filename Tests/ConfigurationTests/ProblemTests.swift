import JSON
import Testing

@testable import Configuration

@Suite struct ProblemTests {
  /// Changes to the smallest file, and the path at which exactly one problem must be reported.
  struct Case: Sendable, CustomTestStringConvertible {
    let changes: [(String, JSONValue?)]
    let path: String
    let says: String
    var testDescription: String { "\(path): \(says)" }

    init(_ path: String, _ says: String, _ changes: (String, JSONValue?)...) {
      (self.path, self.says, self.changes) = (path, says, changes)
    }
  }

  static let cases: [Case] = [
    Case("listen", "is missing", ("listen", nil)),
    Case("listen", "IP address", ("listen", "example.com:80")),
    Case("listen", "IP address", ("listen", ":8080")),
    Case("listen", "IP address", ("listen", "127.0.0.1:0")),
    Case("listen", "IP address", ("listen", "127.0.0.1:65536")),
    Case("listen", "IP address", ("listen", "127.0.0.1:080")),
    Case("listen", "IP address", ("listen", "::1:80")),
    Case("listen", "IP address", ("listen", 8080)),
    Case("listen", "in the clear", ("listen", "0.0.0.0:8080"), ("public_url", "https://a.example")),
    Case("public_url", "loopback hosts only", ("public_url", "http://mcp.example.com")),
    Case("public_url", "loopback hosts only", ("public_url", "http://127.0.0.1.example.com")),
    Case("public_url", "without a path", ("public_url", "https://mcp.example.com/proxy")),
    Case("public_url", "without user name", ("public_url", "https://me@mcp.example.com")),
    Case("public_url", "without user name", ("public_url", "mcp.example.com")),
    Case("public_url", "without user name", ("public_url", "https://mcp.example.com?x")),
    Case("public_url", "without user name", ("public_url", "http://2130706433")),
    Case("public_url", "must be https", ("tls", ["certificate_file": "a", "private_key_file": "b"])),
    Case("trusted_proxies[0]", "behind the prefix", ("trusted_proxies", ["10.0.0.1/8"])),
    Case("trusted_proxies[1]", "behind the prefix", ("trusted_proxies", ["10.0.0.0/8", "nowhere"])),
    Case("trusted_proxies", "a list", ("trusted_proxies", "10.0.0.0/8")),
    Case("workers", "from 1 to 256", ("workers", 0)),
    Case("workers", "not null", ("workers", .null)),
    Case(
      "tls.private_key_file", "is missing", ("public_url", "https://a.example"),
      ("tls", ["certificate_file": "a"])),
    Case("oidc", "is missing", ("oidc", nil)),
    Case("oidc", "an object", ("oidc", "https://login.example.com")),
    Case("oidc.issuer", "is missing", ("oidc.issuer", nil)),
    Case("oidc.issuer", "loopback hosts only", ("oidc.issuer", "http://login.example.com")),
    Case("oidc.client_secret_file", "is missing", ("oidc.client_secret_file", nil)),
    Case(
      "oidc.client_secret_file", "client_secret_post", ("oidc.client_secret_file", nil),
      ("oidc.token_endpoint_auth_method", "client_secret_post")),
    Case("oidc.client_secret_env", "one place", ("oidc.client_secret_env", "SECRET")),
    Case(
      "oidc.client_secret_env", "environment variable", ("oidc.client_secret_file", nil),
      ("oidc.client_secret_env", "A-B")),
    Case("oidc.private_key_file", "is missing", ("oidc.token_endpoint_auth_method", "private_key_jwt")),
    Case(
      "oidc.token_endpoint_auth_method", "\"private_key_jwt\"", ("oidc.token_endpoint_auth_method", "none")),
    Case("oidc.scope", "openid", ("oidc.scope", "profile")),
    Case("oidc.scope", "single spaces", ("oidc.scope", "openid  profile")),
    Case("oidc.scope", "none twice", ("oidc.scope", "openid openid")),
    Case("oidc.redirect_path", "/auth/", ("oidc.redirect_path", "/callback")),
    Case("oidc.redirect_path", "/auth/", ("oidc.redirect_path", "/auth/logout")),
    Case("oidc.redirect_path", "/auth/", ("oidc.redirect_path", "/auth/../x")),
    Case(
      "oidc.post_logout_redirect_uri", "a path of the proxy",
      ("oidc.post_logout_redirect_uri", "//evil.example")),
    Case(
      "oidc.extra_authorization_params.state", "set by the proxy",
      ("oidc.extra_authorization_params", ["state": "x"])),
    Case(
      "oidc.extra_authorization_params.prompt", "oidc.prompt",
      ("oidc.extra_authorization_params", ["prompt": "login"])),
    Case("oidc.extra_authorization_params.a", "a text", ("oidc.extra_authorization_params", ["a": 1])),
    Case("oidc.prompt", "login", ("oidc.prompt", "none")),
    Case("oidc.clock_skew", "to 5m", ("oidc.clock_skew", "1h")),
    Case("oidc.signing_alg", "\"ES256\"", ("oidc.signing_alg", "HS256")),
    Case("routes", "is missing", ("routes", nil)),
    Case("routes", "at least 1", ("routes", [])),
    Case("routes[0]", "an object", ("routes", ["/mcp"])),
    Case("routes[0].path", "begins with a slash", ("routes[0].path", "mcp")),
    Case("routes[0].path", "begins with a slash", ("routes[0].path", "/a/../b")),
    Case("routes[0].path", "begins with a slash", ("routes[0].path", "/a//b")),
    Case("routes[0].path", "begins with a slash", ("routes[0].path", "/%61")),
    Case("routes[0].path", "begins with a slash", ("routes[0].path", "/a?b")),
    Case("routes[0].path", "belongs to the proxy", ("routes[0].path", "/auth")),
    Case("routes[0].path", "belongs to the proxy", ("routes[0].path", "/auth/x")),
    Case("routes[0].path", "belongs to the proxy", ("routes[0].path", "/.well-known/x")),
    Case(
      "routes[1].path", "routes[0]",
      ("routes[1]", ["path": "/mcp/", "upstream": "http://127.0.0.1:9", "scope": "x"])),
    Case("routes[0].upstream", "http or https", ("routes[0].upstream", "ftp://x")),
    Case("routes[0].upstream", "http or https", ("routes[0].upstream", "http://me@127.0.0.1:9/mcp")),
    Case("routes[0].upstream", "circles", ("routes[0].upstream", "http://127.0.0.1:8080/mcp")),
    Case("routes[0].upstream", "circles", ("routes[0].upstream", "http://localhost:8080/")),
    Case("routes[0].scope", "is missing", ("routes[0].scope", nil)),
    Case("routes[0].scope", "no token is asked for", ("routes[0].authorization", "none")),
    Case("routes[0].session", "\"required\"", ("routes[0].session", "optional")),
    Case("routes[0].resource", "absolute URI", ("routes[0].resource", "/mcp")),
    Case("routes[0].resource", "absolute URI", ("routes[0].resource", "https://a.example/#x")),
    Case("routes[0].ca_file", "http upstream", ("routes[0].ca_file", "ca.pem")),
    Case(
      "routes[0].pass_cookies[0]", "never sees the ticket", ("routes[0].pass_cookies", ["__Host-coatcheck"])),
    Case("routes[0].pass_cookies[1]", "the name of a cookie", ("routes[0].pass_cookies", ["a", "b c"])),
    Case(
      "routes[0].pass_response_headers[0]", "connection itself",
      ("routes[0].pass_response_headers", ["Transfer-Encoding"])),
    Case(
      "session.cookie_name", "__Host-", ("public_url", "https://a.example"), ("session.cookie_name", "mine")),
    Case("session.same_site", "drop the cookie", ("session.same_site", "None")),
    Case("session.same_site", "\"Lax\"", ("session.same_site", "lax")),
    Case("session.absolute_timeout", "8h", ("session.absolute_timeout", "1h")),
    Case("session.idle_timeout", "a duration", ("session.idle_timeout", "soon")),
    Case("session.idle_timeout", "a duration", ("session.idle_timeout", 30)),
    Case("session.idle_timeout", "a duration", ("session.idle_timeout", "-1s")),
    Case("session.idle_timeout", "from 1s", ("session.idle_timeout", "10ms")),
    Case("session.encryption_key_files", "at least 1", ("session.encryption_key_files", [])),
    Case("session.store.path", "memory", ("session.store", ["type": "memory", "path": "a.db"])),
    Case("session.store.type", "\"sqlite\"", ("session.store", ["type": "postgres"])),
    Case("session.store.outage_grace", "to 1d", ("session.store.outage_grace", "2d")),
    Case("csrf.allowed_origins[0]", "wildcards", ("csrf.allowed_origins", ["*"])),
    Case("csrf.allowed_origins[0]", "wildcards", ("csrf.allowed_origins", ["https://*.example.com"])),
    Case("csrf.allowed_origins[0]", "no path", ("csrf.allowed_origins", ["https://a.example/"])),
    Case("csrf.allowed_origins[0]", "no path", ("csrf.allowed_origins", ["null"])),
    Case("csrf.allowed_origins[0]", "no path", ("csrf.allowed_origins", ["http://a.example"])),
    Case("limits.request_body", "a size", ("limits.request_body", "4 apples")),
    Case("limits.request_body", "a size", ("limits.request_body", "4MB")),
    Case("limits.header_bytes", "to 1MiB", ("limits.header_bytes", "2MiB")),
    Case("consent.codes[0]", "a whole number", ("consent.codes", ["x"])),
    Case("tokens.revoke_on_logout", "true or false", ("tokens.revoke_on_logout", "yes")),
    Case("admin.listen", "is missing", ("admin", [:])),
    Case("admin.listen", "clients connect", ("admin.listen", "127.0.0.1:8080")),
    Case("log.format", "one of \"json\", \"text\"", ("log.format", "xml")),
    Case("routs", "did you mean \"routes\"?", ("routs", [])),
    Case("publicUrl", "did you mean \"public_url\"?", ("publicUrl", "x")),
    Case("oidc.client_secret", "did you mean \"client_secret_file\"?", ("oidc.client_secret", "x")),
    Case("idle_timeout", "did you mean \"session.idle_timeout\"?", ("idle_timeout", "1h")),
    Case("upstream", "did you mean \"routes[].upstream\"?", ("upstream", "x")),
    Case("log.colour", "known here are level, format", ("log.colour", true)),
  ]

  @Test(arguments: cases) func `one mistake is reported once, at its key, with what is allowed`(example: Case)
  {
    let problems = Sample.problems(of: Sample.with(example.changes))
    #expect(problems.map(\.path) == [example.path])
    #expect(problems.first?.message.contains(example.says) == true, "\(problems)")
  }

  static let good: [[(String, JSONValue?)]] = [
    [("listen", "[::1]:8080")], [("listen", "localhost:8080")],
    [
      ("listen", "0.0.0.0:8443"), ("public_url", "https://a.example"),
      ("trusted_proxies", ["10.0.0.0/8", "::1"]),
    ],
    [
      ("listen", "[::]:8443"), ("public_url", "https://a.example"),
      ("tls", ["certificate_file": "a", "private_key_file": "b"]),
    ],
    [("public_url", "http://[::1]:8080")], [("public_url", "http://app.localhost:8080")],
    [
      ("public_url", "https://127.0.0.1:8080"),
      ("tls", ["certificate_file": "a", "private_key_file": "b", "min_version": "1.3"]),
    ],
    [("oidc.issuer", "http://127.0.0.1:9")],
    [("oidc.client_secret_file", nil), ("oidc.client_secret_env", "SECRET")],
    [
      ("oidc.client_secret_file", nil), ("oidc.token_endpoint_auth_method", "private_key_jwt"),
      ("oidc.private_key_file", "k"),
    ],
    [("oidc.prompt", "login consent")], [("oidc.post_logout_redirect_uri", "https://www.example.com/bye")],
    [("routes[0].upstream", "http://[::1]:3000")], [("routes[0].upstream", "https://mcp_server.internal")],
    [("session.store", ["type": "memory"])],
    [("session.idle_timeout", "1s"), ("session.absolute_timeout", "4s")],
    [("$schema", "./proxy.schema.json")], [("timeouts.drain", "0s")], [("streams.keep_alive", "200ms")],
  ]

  @Test(arguments: good) func `what is meant well is accepted`(changes: [(String, JSONValue?)]) {
    #expect(Sample.problems(of: Sample.with(changes)) == [])
  }

  @Test func `what is allowed but risky is told with its line`() throws {
    let risky = try Sample.parse(
      ("routes[0].upstream", "http://mcp:3000"), ("admin", ["listen": "0.0.0.0:9090"]))
    #expect(risky.cautions.map(\.path) == ["routes[0].upstream", "admin.listen"])
    #expect(risky.cautions.allSatisfy { $0.position != nil })
    #expect(try Sample.parse(("admin", ["listen": "127.0.0.1:9090"])).cautions == [])
  }

  @Test func `all mistakes of a file are reported at once, in its order, with their lines`() {
    let text = """
      {
        "listen": "127.0.0.1:8080",
        "public_url": "http://mcp.example.com",
        "routs": [],
        "oidc": { "issuer": "https://login.example.com",
          "client_id": "" },
        "routes": [
          { "path": "/mcp", "upstream": "http://127.0.0.1:3000/mcp", "scope": "x" },
          { "path": "tools", "upstream": "ftp://x", "scope": "x" }
        ],
        "log": { "format": "xml" }
      }
      """
    #expect {
      try Configuration.parse(text, name: "proxy.json")
    } throws: { error in
      guard let problems = (error as? ConfigurationError)?.problems else { return false }
      let places = problems.map { "\($0.position?.line ?? 0) \($0.path)" }
      return places == [
        "3 public_url", "4 routs", "5 oidc.client_secret_file", "6 oidc.client_id", "9 routes[1].path",
        "9 routes[1].upstream", "11 log.format",
      ]
    }
  }

  @Test func `a problem prints as file, line, key and reason`() {
    let problems = Sample.problems(("log.format", "xml"))
    #expect(problems.first?.description.hasPrefix("proxy.json:") == true)
    #expect(problems.first?.description.hasSuffix(": log.format: must be one of \"json\", \"text\"") == true)
  }

  @Test(arguments: [
    ("{\n  \"listen\": \"a\",\n  \"oops\"\n}", 4), ("", 1), ("{} x", 1), ("{\"a\":1,\n\"a\":2}", 2),
  ])
  func `broken JSON is one problem with its line`(text: String, line: Int) {
    #expect {
      try Configuration.parse(text)
    } throws: { error in
      let problems = (error as? ConfigurationError)?.problems ?? []
      return problems.count == 1 && problems[0].position?.line == line
        && problems[0].message.hasPrefix("is not valid JSON: ")
    }
  }

  @Test(arguments: ["[]", "null", "\"listen\"", "1"]) func `a file must hold an object`(text: String) {
    #expect {
      try Configuration.parse(text)
    } throws: { error in
      (error as? ConfigurationError)?.problems.map(\.message.count).count == 1
    }
  }

  @Test func `a file that is not there is one problem that names it`() {
    #expect {
      try Configuration.load(path: "/nonexistent/proxy.json")
    } throws: { error in
      String(describing: error) == "/nonexistent/proxy.json: does not exist"
    }
  }

  @Test(arguments: [
    ("routs", "routes"), ("lisen", "listen"), ("oidcc", "oidc"), ("time_outs", "timeouts"), ("tsl", "tls"),
    ("quite_different", nil), ("x", nil), ("", nil),
  ]) func `the nearest known name is found and far ones are not`(name: String, near: String?) {
    let known = ["listen", "public_url", "tls", "oidc", "routes", "timeouts"]
    #expect(UnknownKey.nearest(name, known) == near)
  }
}
