import Consent
import FoundationEssentials
import HTTP
import JSON
import OAuth
import Testing

/// One file of `Tests/Corpus/consent`.
struct Fixture: Sendable, CustomTestStringConvertible {
  enum Kind: String, Sendable {
    case header, rpcError = "rpc_error", toolResult = "tool_result", result, body, event
    case tokenEndpoint = "token_endpoint"
  }

  /// The file's name without its ending.
  let name: String
  let dialect: String
  let title: String
  let source: String
  let kind: Kind
  let status: Int
  let headers: [String]
  let payload: JSONValue?
  /// The type of an `event`.
  let eventType: String?
  /// The whole file.
  let json: JSONValue
  /// Nil where the answer has to pass.
  let expect: Expectation?

  var testDescription: String { name }

  /// Directory of the package.
  static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

  /// All of them, by name. A file that cannot be read is a fault of the test, which says so.
  static let all: [Fixture] = {
    let directory = "\(root)/Tests/Corpus/consent"
    do {
      return try FileManager.default.contentsOfDirectory(atPath: directory)
        .filter { $0.hasSuffix(".json") }.sorted()
        .map { try Fixture(name: String($0.dropLast(5)), path: "\(directory)/\($0)") }
    } catch {
      Issue.record(error)
      return []
    }
  }()

  static func of(_ kinds: Kind...) -> [Fixture] { all.filter { kinds.contains($0.kind) } }

  private init(name: String, path: String) throws {
    self.name = name
    json = try JSONValue.parse([UInt8](Data(contentsOf: URL(filePath: path))))
    dialect = try #require(json["dialect"]?.string, "\(name)")
    title = try #require(json["title"]?.string, "\(name)")
    source = try #require(json["source"]?.string, "\(name)")
    kind = try #require(json["kind"]?.string.flatMap(Kind.init), "\(name)")
    status = Int(json["status"]?.int64 ?? 200)
    headers = json["headers"]?.strings ?? []
    let payload = json["payload"]
    self.payload = payload?.isNull == true ? Optional.none : payload
    eventType = json["event"]?.string
    let expect = try #require(json["expect"], "\(name)")
    self.expect = expect.isNull ? nil : try Expectation(expect, name)
  }

  /// The watch the case is configured with.
  var watch: ConsentWatch {
    ConsentWatch(
      providerOrigins: json["provider_origins"]?.strings ?? [],
      consentCodes: (json["consent_codes"]?.array ?? []).compactMap { $0.int64.map(Int.init) },
      rules: (json["rules"]?.array ?? []).map { rule in
        ConsentRule(
          code: rule["code"]?.strings ?? [], values: rule["values"]?.strings ?? [],
          scopes: rule["scopes"]?.string, link: rule["link"]?.string, claims: rule["claims"]?.string,
          unexecuted: rule["unexecuted"]?.bool ?? false,
          target: rule["target"] == "downstream" ? .downstream : .upstream)
      })
  }

  /// The answer as JSON text, whole.
  func message(id: String = "1") -> String {
    let text = payload?.serialized() ?? ""
    return switch kind {
    case .rpcError: #"{"jsonrpc":"2.0","id":\#(id),"error":\#(text)}"#
    case .toolResult, .result: #"{"jsonrpc":"2.0","id":\#(id),"result":\#(text)}"#
    case .header, .body, .event, .tokenEndpoint: text
    }
  }
}

/// What has to be understood.
struct Expectation: Sendable {
  let kind: ConsentNeed.Kind
  let scopes: [String]
  let claims: String?
  let acrValues: [String]
  let maxAge: Int?
  let target: ConsentNeed.Target
  let link: String?
  let links: [String]
  let code: String
  let isRepairable: Bool
  let isUnexecuted: Bool

  fileprivate init(_ json: JSONValue, _ name: String) throws {
    kind = try #require(Self.kind(json), "\(name)")
    scopes = try #require(json["scopes"]?.strings, "\(name)")
    claims = json["claims"]?.string
    acrValues = try #require(json["acr_values"]?.strings, "\(name)")
    maxAge = json["max_age"]?.int64.map(Int.init)
    target = try #require(Self.target(json["target"]?.string), "\(name)")
    link = json["link"]?.string
    links = try #require(json["links"]?.strings, "\(name)")
    code = try #require(json["code"]?.string, "\(name)")
    isRepairable = try #require(json["repairable"]?.bool as Bool?, "\(name)")
    isUnexecuted = try #require(json["unexecuted"]?.bool as Bool?, "\(name)")
  }

  private static func kind(_ json: JSONValue) -> ConsentNeed.Kind? {
    switch json["kind"]?.string {
    case "reauth":
      switch json["reason"]?.string {
      case "token_rejected": .reauth(.tokenRejected)
      case "grant_ended": .reauth(.grantEnded)
      case "assertion_stale": .reauth(.assertionStale)
      default: nil
      }
    case "consent": .consent
    case "claims": .claims
    case "step_up": .stepUp
    case "admin_consent": .adminConsent
    case "declined": .declined
    case "blocked": .blocked
    case "transient": .transient(retryAfter: json["retry_after"]?.int64.map { .seconds($0) })
    case "config": .config
    default: nil
    }
  }

  private static func target(_ text: String?) -> ConsentNeed.Target? {
    switch text {
    case "upstream": .upstream
    case "downstream": .downstream
    default: nil
    }
  }
}

/// Compares a need with what the fixture demands, member by member.
func check(_ need: ConsentNeed?, _ fixture: Fixture, _ place: String) {
  guard let expected = fixture.expect else {
    #expect(need == nil, "\(fixture.name), \(place)")
    return
  }
  guard let need else {
    Issue.record("\(fixture.name), \(place): not recognised")
    return
  }
  let comment: Comment = "\(fixture.name), \(place)"
  #expect(need.kind == expected.kind, comment)
  #expect(need.scopes == expected.scopes, comment)
  #expect(need.claims == expected.claims, comment)
  #expect(need.acrValues == expected.acrValues, comment)
  #expect(need.maxAge == expected.maxAge, comment)
  #expect(need.target == expected.target, comment)
  #expect(need.link == expected.link, comment)
  #expect(need.links == expected.links, comment)
  #expect(need.code == expected.code, comment)
  #expect(need.isRepairable == expected.isRepairable, comment)
  #expect(need.isUnexecuted == expected.isUnexecuted, comment)
}
