import Basics
import Testing

@testable import OAuth

@Suite struct ChallengeTests {
  private func one(_ field: String) throws -> Challenge {
    let all = Challenge.parse([field])
    #expect(all.count == 1)
    return try #require(all.first)
  }

  // MARK: Golden headers

  @Test func `insufficient scope of an MCP server`() throws {
    let challenge = try one(
      #"Bearer error="insufficient_scope", scope="api://m/files.write  b", resource_metadata="https://mcp.example/.well-known/oauth-protected-resource", error_description="write permission needed""#
    )
    #expect(challenge.isBearer && challenge.error == "insufficient_scope")
    #expect(
      challenge.scope == ["api://m/files.write", "b"]
        && challenge.errorDescription == "write permission needed")
    #expect(challenge.resourceMetadata == "https://mcp.example/.well-known/oauth-protected-resource")
    #expect(challenge.claims == nil && challenge.maxAge == nil && challenge.acrValues.isEmpty)
  }

  @Test func `claims challenge of Entra`() throws {
    let challenge = try one(
      #"Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxNzY3MjI1NjAwIn19fQ==""#
    )
    #expect(challenge.error == "insufficient_claims" && challenge.realm == "")
    #expect(challenge.claims == #"{"access_token":{"nbf":{"essential":true,"value":"1767225600"}}}"#)
    #expect(challenge.authorizationURI == "https://login.microsoftonline.com/common/oauth2/authorize")
  }

  @Test func `Microsoft Identity Web without claims`() throws {
    let challenge = try one(
      #"Bearer consentUri="https://login.microsoftonline.com/t/oauth2/v2.0/authorize?client_id=m&response_type=code&scope=offline_access%20User.Read", claims="", scopes="User.Read,Mail.Read", proposedAction="consent""#
    )
    #expect(
      challenge.error == nil && challenge.claims == nil && challenge.scope == ["User.Read", "Mail.Read"])
    #expect(challenge.proposedAction == "consent" && challenge.consentURI?.hasSuffix("User.Read") == true)
  }

  @Test(arguments: [
    #"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#, #"{ "id_token":{"a":"}\"{"}}"#,
    #"{"a":"x, y=\"z\""}"#,
  ]) func `Microsoft Identity Web with raw JSON in quotes`(_ claims: String) throws {
    let challenge = try one(
      #"Bearer consentUri="https://login.example/a", claims="\#(claims)", scopes="User.Read", proposedAction="consent""#
    )
    #expect(
      challenge.claims == claims && challenge.scope == ["User.Read"] && challenge.proposedAction == "consent")
  }

  @Test func `RFC 9470 asks for a stronger or fresher sign-in`() throws {
    let challenge = try one(
      #"Bearer error="insufficient_user_authentication", error_description="recent MFA needed", acr_values="urn:okta:loa:2fa:any phr", max_age="300""#
    )
    #expect(challenge.error == "insufficient_user_authentication" && challenge.maxAge == 300)
    #expect(challenge.acrValues == ["urn:okta:loa:2fa:any", "phr"])
  }

  // MARK: Claims encodings

  @Test(arguments: [
    (#"eyJhIjoiPz8_fn5-In0"#, #"{"a":"???~~~"}"#), (#"eyJhIjoiPz8/fn5+In0="#, #"{"a":"???~~~"}"#),
    (#"eyJhIjoiPz8_fn5-In0="#, #"{"a":"???~~~"}"#), (#"eyJhIjoiPz8/fn5+In0"#, #"{"a":"???~~~"}"#),
    (#"{\"a\":1}"#, #"{"a":1}"#), ("WyJhIl0=", nil), ("eyJhIjox", nil), ("!!", nil), ("e30=", nil),
    ("{}", nil),
    ("eyJhIjoxLCJhIjoyfQ==", nil), ("/w==", nil),
  ]) func `claims are base64 in either alphabet, padded or not, or JSON`(_ value: String, _ expected: String?)
    throws
  {
    #expect(try one(#"Bearer error="insufficient_claims", claims="\#(value)""#).claims == expected)
  }

  @Test func `claims beyond 8 KiB are ignored`() throws {
    func claims(_ count: Int) -> String {
      Base64.encode(Array(#"{"a":"\#(String(repeating: "x", count: count))"}"#.utf8))
    }
    #expect(try one(#"Bearer claims="\#(claims(8000))""#).claims != nil)
    #expect(try one(#"Bearer claims="\#(claims(8192))""#).claims == nil)
  }

  // MARK: Grammar

  @Test(arguments: [
    ("Bearer", ["Bearer"]), ("Bearer ", ["Bearer"]), (" , ,Bearer,, ", ["Bearer"]),
    ("Bearer, Basic", ["Bearer", "Basic"]),
    (#"Bearer realm="a", Basic realm="b""#, ["Bearer", "Basic"]),
    (#"Basic realm="a, Bearer b", Bearer"#, ["Basic", "Bearer"]),
    ("Negotiate YWJj==, Bearer error=invalid_token", ["Negotiate", "Bearer"]),
    ("Negotiate YWJj , DPoP algs=\"ES256\"", ["Negotiate", "DPoP"]),
    (#"Digest realm="x", qop="auth,auth-int", nonce=abc, Bearer"#, ["Digest", "Bearer"]),
    ("bEaReR error=x", ["bEaReR"]),
    (#"Bearer realm="a" Basic realm="b""#, ["Bearer", "Basic"]), ("", []), (",", []), ("=", []),
    (#"Bearer error="open"#, []),
    (#"Bearer error="a"x"#, []), ("Bearer error=\"a\u{1}\"", []), ("Bearer: x", []),
    (#"Basic, Bearer a="b"c"#, ["Basic"]), ("\"Bearer\"", []),
    (#"Bearer claims="{"a":1"#, []), (#"Bearer claims="{"a":1}x""#, []), (#"Bearer error="\"#, []),
  ]) func `challenges are told apart`(_ field: String, _ schemes: [String]) {
    #expect(Challenge.parse([field]).map(\.scheme) == schemes)
  }

  @Test(arguments: [
    (#"Bearer error="a\"b\\c""#, #"a"b\c"#), (#"Bearer error = "a""#, "a"), ("Bearer error=a", "a"),
    ("Bearer\terror=\t\"a\"", "a"),
    (#"Bearer ERROR="a""#, "a"), (#"Bearer realm="x",error="a""#, "a"),
    (#"Bearer realm="x" ,,, error="a","#, "a"),
    (#"Bearer realm="x" error="a""#, "a"), (#"Bearer realm=https://x/?a=b error=a"#, "a"),
    (#"Bearer realm="x", error="""#, nil),
    (#"Bearer error="ä""#, "ä"),
  ]) func `values are read in all the forms they come in`(_ field: String, _ error: String?) throws {
    #expect(try one(field).error == error)
  }

  @Test func `several fields and several challenges keep their order`() {
    let all = Challenge.parse([
      #"Basic realm="a", Bearer error="invalid_token""#, "Negotiate", #"Bearer error="insufficient_claims""#,
    ])
    #expect(all.map(\.scheme) == ["Basic", "Bearer", "Negotiate", "Bearer"])
    #expect(all.filter(\.isBearer).map(\.error) == ["invalid_token", "insufficient_claims"])
  }

  @Test func `token68 is kept`() {
    let all = Challenge.parse(["Negotiate oYG2MIGzo==, Bearer x.y-z"])
    #expect(all.map(\.token68) == ["oYG2MIGzo==", "x.y-z"] && all.allSatisfy { $0.parameters.isEmpty })
  }

  @Test func `a challenge that says something twice says nothing`() {
    let all = Challenge.parse([#"Bearer error="a", Error="b", scope="c", Basic realm="d""#])
    #expect(all.map(\.scheme) == ["Basic"])
  }

  @Test func `damage ends its field and not the next`() {
    let all = Challenge.parse([#"Basic realm="a", Bearer error="open"#, #"Bearer error="b""#])
    #expect(all.map(\.scheme) == ["Basic", "Bearer"] && all.last?.error == "b")
  }

  @Test(
    arguments: [
      ("0", 0), ("300", 300), ("-1", nil), ("1.5", nil), ("", nil), ("9999999999", nil), ("abc", nil),
    ] as [(String, Int?)])
  func `max_age is a number of seconds`(_ text: String, _ expected: Int?) throws {
    #expect(try one(#"Bearer max_age="\#(text)""#).maxAge == expected)
  }

  @Test func `scopes are words, each once, and not more than 64`() throws {
    #expect(try one(#"Bearer scope="a b a  c\"d e\\f é g""#).scope == ["a", "b", "g"])
    #expect(try one(#"Bearer scopes="a, b,a,,c""#).scope == ["a", "b", "c"])
    let many = (0..<200).map { "s\($0)" }.joined(separator: " ")
    #expect(try one(#"Bearer scope="\#(many)""#).scope.count == 64)
  }

  // MARK: Bounds

  @Test func `more than is allowed is not read`() {
    #expect(Challenge.parse(Array(repeating: "Bearer", count: 50)).count == 16)
    #expect(Challenge.parse([String(repeating: "Bearer, ", count: 500)]).count == 32)
    #expect(Challenge.parse([String(repeating: "x", count: (16 << 10) + 1)]).isEmpty)
    #expect(
      Challenge.parse(["Bearer", String(repeating: "x", count: 16 << 10), "Basic"]).map(\.scheme) == [
        "Bearer"
      ])
    let many = (0..<33).map { "p\($0)=a" }.joined(separator: ", ")
    #expect(Challenge.parse(["Bearer " + many]).isEmpty)
  }

  @Test func `every prefix and every changed byte of a header is read without harm`() {
    let golden =
      #"Negotiate YQ==, Bearer consentUri="https://a/?b=c", claims="{"a":{"b":"}\""}}", scopes="A,B", Basic realm="\"x\"""#
    let bytes = Array(golden.utf8)
    for end in 0...bytes.count {
      let schemes = Challenge.parse([String(decoding: bytes[..<end], as: UTF8.self)]).map(\.scheme)
      #expect(schemes.count <= 3)
    }
    for index in bytes.indices {
      for byte in [0, 0x20, 0x22, 0x2C, 0x3D, 0x5C, 0x7B, 0x7D, 0xFF] as [UInt8] {
        var changed = bytes
        changed[index] = byte
        #expect(Challenge.parse([String(decoding: changed, as: UTF8.self)]).count <= 8)
      }
    }
    #expect(Challenge.parse([golden]).map(\.scheme) == ["Negotiate", "Bearer", "Basic"])
  }
}
