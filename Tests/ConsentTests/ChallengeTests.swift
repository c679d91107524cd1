import Consent
import OAuth
import TestSupport
import Testing

private let claims = #"{"access_token":{"nbf":{"essential":true,"value":"1767225600"}}}"#
private let base64 = "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxNzY3MjI1NjAwIn19fQ"
private let demo =
  #"error_description="scope mcp.files is needed", scope="mcp.read mcp.files", resource_metadata="http://127.0.0.1:9/.well-known/oauth-protected-resource/mcp""#

private struct Row: Sendable, CustomTestStringConvertible {
  var name: String
  var status: Int
  var fields: [String]
  var kind: ConsentNeed.Kind?
  var scopes: [String] = []
  var claims: String?
  var acrValues: [String] = []
  var maxAge: Int?
  var target = ConsentNeed.Target.upstream
  var testDescription: String { name }
}

private let rows: [Row] = [
  Row(
    name: "the demo server's 403", status: 403, fields: [#"Bearer error="insufficient_scope", \#(demo)"#],
    kind: .consent, scopes: ["mcp.read", "mcp.files"]),
  Row(
    name: "the demo server's 401", status: 401, fields: [#"Bearer error="invalid_token", \#(demo)"#],
    kind: .reauth(.tokenRejected), scopes: ["mcp.read", "mcp.files"]),
  Row(
    name: "an expired token", status: 401, fields: [#"Bearer error="invalid_token""#],
    kind: .reauth(.tokenRejected)),
  Row(name: "no credentials", status: 401, fields: ["Bearer"]),
  Row(name: "no credentials, a realm", status: 401, fields: [#"Bearer realm="x", scope="a""#]),
  Row(name: "a bare 403", status: 403, fields: []),
  Row(
    name: "a 403 with a realm", status: 403,
    fields: [#"Bearer realm="x", resource_metadata="https://a.example/x""#]),
  Row(name: "an unknown error", status: 403, fields: [#"Bearer error="forbidden", scope="a""#]),
  Row(name: "a malformed request", status: 400, fields: [#"Bearer error="insufficient_scope", scope="a""#]),
  Row(
    name: "an answer that is no refusal", status: 200,
    fields: [#"Bearer error="insufficient_scope", scope="a""#]),
  Row(name: "another scheme", status: 403, fields: [#"Basic error="insufficient_scope", scope="a""#]),
  Row(
    name: "a scheme in capitals", status: 403, fields: [#"BEARER error="insufficient_scope", scope="a""#],
    kind: .consent, scopes: ["a"]),
  Row(
    name: "several fields", status: 403,
    fields: [#"Basic realm="x""#, #"Bearer error="insufficient_scope", scope="a""#], kind: .consent,
    scopes: ["a"]),
  Row(
    name: "two demands for scopes", status: 403,
    fields: [
      #"Bearer error="insufficient_scope", scope="a""#, #"DPoP error="insufficient_scope", scope="b a""#,
    ], kind: .consent, scopes: ["a", "b"]),
  Row(
    name: "the most demanding of several", status: 401,
    fields: [
      #"Bearer error="invalid_token""#, #"Bearer error="insufficient_user_authentication", max_age="0""#,
    ], kind: .stepUp, maxAge: 0),
  Row(
    name: "step-up", status: 401,
    fields: [
      #"Bearer error="insufficient_user_authentication", error_description="recent, please", acr_values="phr mfa", max_age="300""#
    ], kind: .stepUp, acrValues: ["phr", "mfa"], maxAge: 300),
  Row(
    name: "Okta's step-up", status: 401,
    fields: [#"Bearer error="insufficient_authentication_context", acr_values="urn:okta:loa:2fa:any""#],
    kind: .stepUp, acrValues: ["urn:okta:loa:2fa:any"]),
  Row(
    name: "claims in base64", status: 401,
    fields: [
      #"Bearer realm="", authorization_uri="https://login.example/a", error="insufficient_claims", claims="\#(base64)==""#
    ], kind: .claims, claims: claims),
  Row(
    name: "claims in base64 without padding", status: 403,
    fields: [#"Bearer error="insufficient_claims", claims="\#(base64)""#], kind: .claims, claims: claims),
  Row(
    name: "claims that are none", status: 401, fields: [#"Bearer error="insufficient_claims", claims="%%%""#],
    kind: .reauth(.tokenRejected)),
  Row(
    name: "claims that are missing", status: 401, fields: [#"Bearer error="insufficient_claims""#],
    kind: .reauth(.tokenRejected)),
  Row(
    name: "an on-behalf-of API", status: 401,
    fields: [#"Bearer error="interaction_required", claims="\#(base64)""#], kind: .claims, claims: claims),
  Row(
    name: "interaction without claims", status: 401, fields: [#"Bearer error="interaction_required""#],
    kind: .stepUp),
  Row(
    name: "consent as a challenge", status: 403, fields: [#"Bearer error="consent_required", scope="a""#],
    kind: .consent, scopes: ["a"]),
  Row(
    name: "Microsoft.Identity.Web", status: 403,
    fields: [
      #"Bearer consentUri="https://login.example/t/oauth2/v2.0/authorize?client_id=m&scope=offline_access%20User.Read", claims="", scopes="User.Read,Mail.Read", proposedAction="consent""#
    ],
    kind: .consent, scopes: ["User.Read", "Mail.Read"], target: .downstream),
  Row(
    name: "Microsoft.Identity.Web with claims", status: 403,
    fields: [
      #"Bearer consentUri="https://login.example/a", claims="\#(claims)", scopes="mcp.use", proposedAction="consent""#
    ],
    kind: .claims, scopes: ["mcp.use"], claims: claims, target: .downstream),
]

@Suite struct `A challenge` {
  @Test(arguments: rows)
  private func `is a need by the table`(row: Row) {
    let need = ConsentNeed.from(challenges: Challenge.parse(row.fields), status: row.status)
    #expect(need?.kind == row.kind)
    guard let need else { return }
    #expect(need.source == .challenge)
    #expect(need.scopes == row.scopes)
    #expect(need.claims == row.claims)
    #expect(need.acrValues == row.acrValues)
    #expect(need.maxAge == row.maxAge)
    #expect(need.target == row.target)
  }

  @Test func `whose link is hostile keeps its scopes and loses its link`() {
    for link in ["javascript:alert(1)", "http://evil.example/", "//evil.example/", ""] {
      let fields = [#"Bearer consentUri="\#(link)", claims="", scopes="a", proposedAction="consent""#]
      let need = ConsentNeed.from(challenges: Challenge.parse(fields), status: 403)
      #expect(need?.scopes == ["a"] && need?.link == nil)
    }
  }

  @Test func `that calls a fresh token invalid but names scopes it lacks is a wish for consent`() {
    let fields = [#"Bearer error="invalid_token", \#(demo)"#]
    let need = ConsentNeed.from(challenges: Challenge.parse(fields), status: 401)
    #expect(need?.afterRefresh(granted: ["mcp.read"]).kind == .consent)
    #expect(need?.afterRefresh(granted: ["mcp.read", "mcp.files"]).kind == .reauth(.tokenRejected))
    let bare = ConsentNeed.from(challenges: Challenge.parse([#"Bearer error="invalid_token""#]), status: 401)
    #expect(bare?.afterRefresh(granted: []).kind == .reauth(.tokenRejected))
  }

  @Test func `damaged at any byte never traps`() {
    var random = Damage(seed: 5)
    for row in rows {
      for _ in 0..<100 {
        let fields = row.fields.map { String(decoding: random.damaged($0), as: UTF8.self) }
        _ = ConsentNeed.from(challenges: Challenge.parse(fields), status: row.status)
      }
    }
  }
}
