import Basics
import Consent

@testable import OAuth

extension Target {
  /// `WWW-Authenticate`; every line of the input is a field.
  static let challenge = Target("challenge") { input in
    let fields = input.lines.map(\.text)
    let challenges = Challenge.parse(fields)
    expect(challenges.count <= 32, "challenges are within their limit")
    for challenge in challenges { check(challenge) }
    if fields.count <= 16, input.count <= 4096 {
      let alone = fields.flatMap { Challenge.parse([$0]) }
      expectEqual(Array(alone.prefix(32)), challenges, "a field does not change another")
    }
    for status in [200, 400, 401, 403] {
      guard let need = ConsentNeed.from(challenges: challenges, status: status) else { continue }
      checkNeed(need)
    }
  }

  private static func check(_ challenge: Challenge) {
    expect(challenge.scheme.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a scheme is a token")
    expect(challenge.parameters.count <= 32, "parameters are within their limit")
    expect(challenge.token68 == nil || challenge.parameters.isEmpty, "one value or parameters")
    var names: Set<String> = []
    for parameter in challenge.parameters {
      expect(names.insert(parameter.name).inserted, "no parameter occurs twice")
      expectEqual(ASCII.lowercased(parameter.name), parameter.name, "names are in lower case")
      expect(
        parameter.value.utf8.allSatisfy { ($0 >= 0x20 || $0 == 0x09) && $0 != 0x7F },
        "no control character in a value")
      expectEqual(challenge[parameter.name], parameter.value, "a parameter is found by its name")
    }
    var text = challenge.scheme
    if let token = challenge.token68 { text += " " + token }
    for (i, parameter) in challenge.parameters.enumerated() {
      // By scalars: a quote that a combining mark follows is a quote.
      let value = parameter.value.unicodeScalars.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }
      text += (i == 0 ? " " : ", ") + "\(parameter.name)=\"" + value.joined() + "\""
    }
    guard text.utf8.count <= 8192 else { return }
    expectEqual(
      Challenge.parse([text]), [challenge], "what is written as RFC 9110 has it is read again: \(text)")
  }

  /// What the rest of the product relies on in a need, wherever it was found.
  static func checkNeed(_ need: ConsentNeed) {
    expect(need.scopes.count <= ScopeList.maxScopes, "scopes are within their limit")
    expect(need.scopes.allSatisfy(ScopeList.isToken), "scopes are tokens")
    expectEqual(Set(need.scopes).count, need.scopes.count, "no scope twice")
    expect(need.links.count <= ConsentNeed.maxLinks, "links are within their limit")
    for link in need.links {
      let start = ASCII.lowercased(link.prefix(8))
      expect(start == "https://" || start.hasPrefix("http://"), "a link is for the web: \(link)")
      expect(!link.utf8.contains { $0 <= 0x20 || $0 == 0x7F }, "a link is one word: \(link)")
    }
    if let claims = need.claims {
      expect(ClaimsRequest.object(claims) != nil, "claims are a JSON object: \(claims)")
    }
    expect(need.maxAge ?? 0 >= 0, "an age is not negative")
    expect(need.code.utf8.count <= 128, "a code is short")
  }
}
