import Basics
import Consent
import JSON

extension Target {
  /// An upstream's message that may demand consent, as a body behind several statuses and as an event.
  static let consent = Target("consent") { input in
    let body = Buffer(input)
    let all = 0..<input.count
    for watch in [plain, ruled] {
      for status in [200, 401, 403, 500] {
        check(watch.finding(inBody: body, all, status: status))
      }
      if !ConsentWatch.mightNeedConsent(body, all) {
        expect(plain.finding(inBody: body, all) == nil, "the cheap look spares nothing that counts")
      }
      let event = Buffer(Array("event: message\ndata: ".utf8) + input + [0x0A, 0x0A])
      check(watch.finding(inEvent: event, 0..<event.count))
      check(watch.finding(inEvent: body, all))
    }
    let moved = Buffer([0x22] + input + [0x7D])
    expectEqual(
      plain.finding(inBody: moved, 1..<input.count + 1), plain.finding(inBody: body, all),
      "a message is the same at another place")
  }

  private static let plain = ConsentWatch(providerOrigins: ["https://login.example"], consentCodes: [-32001])
  private static let ruled = ConsentWatch(
    maxBytes: 2048,
    rules: [
      ConsentRule(
        code: ["/error/data/code", "/result/structuredContent/error/code", "/code"], values: ["NEEDS", "7"],
        scopes: "/error/data/scopes", link: "/error/data/link", claims: "/error/data/claims")
    ])

  private static func check(_ finding: ConsentFinding?) {
    guard let finding else { return }
    expect((try? JSONValue.parse(finding.id)) != nil, "an id can be repeated: \(finding.id.text)")
    checkNeed(finding.need)
    _ = finding.need.afterRefresh(granted: ["a"]).isRepairable
    _ = AuthorizationAdditions(for: finding.need, signIn: ["openid"], granted: [], requested: [])
  }
}
