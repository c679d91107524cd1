import Basics
import JSON
import Testing

@testable import Configuration

@Suite struct ProvidersTests {
  static func entry(_ name: String?, _ more: [String: JSONValue] = [:]) -> JSONValue {
    var entry: JSONObject = [
      "issuer": .string("https://\(name ?? "login").example.com"), "client_id": "coatcheck",
      "client_secret_file": "secret",
    ]
    if let name { entry["name"] = .string(name) }
    for (key, value) in more { entry[key] = value }
    return .object(entry)
  }

  @Test func `one object is a provider named default with the plain redirect path`() throws {
    let configuration = try Sample.parse()
    #expect(configuration.providers.all.map(\.name) == ["default"])
    #expect(configuration.providers.place(0) == "oidc")
    #expect(configuration.redirectURI(of: configuration.oidc) == "http://localhost:8080/auth/callback")
    #expect(configuration.providers(of: configuration.routes[0]).count == 1)
  }

  @Test func `a list of one is like one object`() throws {
    let configuration = try Sample.parse(("oidc", [Self.entry(nil)]))
    #expect(configuration.providers.all.map(\.name) == ["default"])
    #expect(configuration.oidc.redirectPath == "/auth/callback")
    #expect(configuration.providers.place(0) == "oidc[0]")
  }

  @Test func `each of several has a redirect path of its own`() throws {
    let configuration = try Sample.parse(
      (
        "oidc",
        [
          Self.entry("staff"), Self.entry("partners", ["redirect_path": "/auth/callback"]),
          Self.entry("a_B-9"),
        ]
      ))
    #expect(
      configuration.providers.all.map { configuration.redirectURI(of: $0) } == [
        "http://localhost:8080/auth/callback/staff", "http://localhost:8080/auth/callback",
        "http://localhost:8080/auth/callback/a_B-9",
      ])
  }

  @Test func `a route is for the provider it names, or for all`() throws {
    let configuration = try Sample.parse(
      ("oidc", [Self.entry("staff"), Self.entry("partners")]),
      (
        "routes",
        [
          ["path": "/a", "upstream": "http://127.0.0.1:3000", "scope": "x", "provider": "partners"],
          ["path": "/b", "upstream": "http://127.0.0.1:3000", "scope": "x"],
        ]
      ))
    #expect(configuration.providers(of: configuration.routes[0]).map(\.name) == ["partners"])
    #expect(configuration.providers(of: configuration.routes[1]).map(\.name) == ["staff", "partners"])
  }

  struct Case: Sendable, CustomTestStringConvertible {
    let path: String
    let says: String
    let oidc: JSONValue
    var route: JSONValue = ["path": "/mcp", "upstream": "http://127.0.0.1:3000/mcp", "scope": "tools.use"]
    var testDescription: String { "\(path): \(says)" }
  }

  static let route: JSONObject = ["path": "/mcp", "upstream": "http://127.0.0.1:3000/mcp", "scope": "x"]

  static func route(_ more: [String: JSONValue]) -> JSONValue {
    var route = Self.route
    for (key, value) in more { route[key] = value }
    return .object(route)
  }

  static let cases: [Case] = [
    Case(path: "oidc", says: "an object, or a list of at least one", oidc: "https://login.example.com"),
    Case(path: "oidc", says: "at least 1", oidc: []),
    Case(path: "oidc[1]", says: "an object", oidc: [entry("a"), "b"]),
    Case(path: "oidc[1].name", says: "is missing", oidc: [entry("a"), entry(nil)]),
    Case(path: "oidc[0].name", says: "is missing", oidc: [entry(nil), entry("a")]),
    Case(path: "oidc[2].name", says: "the name of oidc[0]", oidc: [entry("a"), entry("b"), entry("a")]),
    Case(path: "oidc[1].name", says: "short name", oidc: [entry("a"), entry("b", ["name": "../b"])]),
    Case(path: "oidc[1].name", says: "short name", oidc: [entry("a"), entry("b", ["name": ""])]),
    Case(
      path: "oidc[1].name", says: "short name", oidc: [entry("a"), entry(String(repeating: "b", count: 33))]),
    Case(
      path: "oidc[1].issuer", says: "must be https",
      oidc: [entry("a"), entry("b", ["issuer": "http://b.example"])]),
    Case(
      path: "oidc[1].redirect_path", says: "the path of oidc[0]",
      oidc: [
        entry("a", ["redirect_path": "/auth/back"]), entry("b", ["redirect_path": "/auth/back"]),
      ]),
    Case(
      path: "oidc[1].redirect_path", says: "the path of oidc[0]",
      oidc: [entry("a"), entry("b", ["redirect_path": "/auth/callback/a"])]),
    Case(
      path: "oidc[0].redirect_path", says: "does not use itself",
      oidc: [entry("a", ["redirect_path": "/auth/backchannel-logout"]), entry("b")]),
    Case(
      path: "oidc[1].private_key_file", says: "is missing",
      oidc: [entry("a"), entry("b", ["token_endpoint_auth_method": "private_key_jwt"])]),
    Case(
      path: "oidc[1].client_secret_env", says: "one place",
      oidc: [entry("a"), entry("b", ["client_secret_env": "SECRET"])]),
    Case(
      path: "oidc[1].scpoe", says: "did you mean \"scope\"",
      oidc: [entry("a"), entry("b", ["scpoe": "openid"])]),
    Case(
      path: "routes[0].provider", says: "\"a\", \"b\"", oidc: [entry("a"), entry("b")],
      route: route(["provider": "c"])),
    Case(
      path: "routes[0].provider", says: "short name", oidc: [entry("a"), entry("b")],
      route: route(["provider": ["a"]])),
    Case(
      path: "routes[0].provider", says: "everybody passes", oidc: [entry("a"), entry("b")],
      route: [
        "path": "/", "upstream": "http://127.0.0.1:3000", "authorization": "none", "session": "optional",
        "provider": "a",
      ]),
    Case(
      path: "routes[0].scope", says: "is missing",
      oidc: [entry("a", ["scope": "openid api.use"]), entry("b")],
      route: ["path": "/mcp", "upstream": "http://127.0.0.1:3000/mcp"]),
  ]

  @Test(arguments: cases) func `a problem is reported once, where it is`(of: Case) throws {
    let problems = Sample.problems(of: Sample.with([("oidc", of.oidc), ("routes", [of.route])]))
    try #require(problems.count == 1, "\(problems)")
    #expect(problems[0].path == of.path && problems[0].message.contains(of.says), "\(problems[0])")
    #expect((problems[0].position?.line ?? 0) > 1)
  }

  @Test func `a route for one provider needs no scope where that one's sign-in names an API`() throws {
    _ = try Sample.parse(
      ("oidc", [Self.entry("a", ["scope": "openid api.use"]), Self.entry("b")]),
      ("routes", [["path": "/mcp", "upstream": "http://127.0.0.1:3000/mcp", "provider": "a"]]))
  }

  @Test func `missing files and secrets are told at the provider's own place`() throws {
    let configuration = try Sample.parse(
      (
        "oidc",
        [
          Self.entry("a", ["client_secret_file": "/nowhere/a", "ca_file": "/nowhere/ca"]),
          .object([
            "name": "b", "issuer": "https://b.example", "client_id": "b",
            "client_secret_env": "NO_SUCH_SECRET",
          ]),
        ]
      ), ("session", ["store": ["type": "memory"]]))
    #expect(
      configuration.fileProblems(environment: [:]).map(\.problem.path).sorted() == [
        "oidc[0].ca_file", "oidc[0].client_secret_file", "oidc[1].client_secret_env",
      ])
    #expect(throws: ConfigurationError.self) {
      try configuration.readCredential(ofProvider: 0, environment: ["NO_SUCH_SECRET": "x"])
    }
    guard
      case .secret(let secret) = try configuration.readCredential(
        ofProvider: 1, environment: ["NO_SUCH_SECRET": "x"])
    else { return #expect(Bool(false), "another kind of credential") }
    #expect(secret.reveal() == "x")
  }

  @Test func `whom an issuer for many tenants lets in without a list is told`() throws {
    func cautions(_ tenant: String, _ more: [String: JSONValue] = [:]) throws -> [String] {
      let entra = Self.entry(
        "entra", ["issuer": .string("https://login.microsoftonline.com/\(tenant)/v2.0")].merging(more) { $1 })
      return try Sample.parse(("oidc", [Self.entry("a"), entra])).cautions.map(\.path)
    }
    #expect(try cautions("common") == ["oidc[1].allowed_tenants"])
    #expect(try cautions("organizations") == ["oidc[1].allowed_tenants"])
    let tenant = "11111111-2222-3333-4444-555555555555"
    #expect(try cautions("common", ["allowed_tenants": [.string(tenant)]]) == [])
    #expect(try cautions(tenant) == [])
  }

  @Test func `the schema takes an object or a list`() throws {
    let schema = try JSONValue.parse(Configuration.schema())
    #expect(schema.at(pointer: "/properties/oidc/anyOf/0/required") == ["issuer", "client_id"])
    #expect(schema.at(pointer: "/properties/oidc/anyOf/1/items/required") == ["issuer", "client_id"])
    #expect(schema.at(pointer: "/properties/oidc/anyOf/1/minItems") == 1)
  }
}
