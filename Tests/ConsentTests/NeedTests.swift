import Consent
import Testing

@Suite struct `A need` {
  @Test(
    arguments: [
      (.challenge, true), (.tokenEndpoint, true), (.precheck, true), (.elicitation, true), (.rpcError, false),
      (.toolResult, false), (.body, false),
    ] as [(ConsentNeed.Source, Bool)])
  func `knows from its source whether the call ran, unless more is known`(
    source: ConsentNeed.Source, isUnexecuted: Bool
  ) {
    let need = ConsentNeed(.consent, source: source, code: "")
    #expect(need.isUnexecuted == isUnexecuted)
    #expect(need.isElicitation == (source == .elicitation))
    for known in [true, false] {
      #expect(ConsentNeed(.consent, source: source, code: "", isUnexecuted: known).isUnexecuted == known)
    }
  }

  @Test func `keeps its links in order, none twice, and only so many`() {
    let need = ConsentNeed(
      .consent, source: .elicitation, code: "", link: "a", links: ["b", "a", "b", "c"])
    #expect(need.links == ["a", "b", "c"] && need.link == "a")
    #expect(ConsentNeed(.consent, source: .elicitation, code: "").link == nil)
    let many = ConsentNeed(.consent, source: .elicitation, code: "", links: (0..<100).map { "\($0)" })
    #expect(many.links.count == ConsentNeed.maxLinks)
  }

  @Test func `that became a wish for consent still says whether the call ran`() {
    let need = ConsentNeed(.reauth(.tokenRejected), source: .challenge, code: "", scopes: ["a"])
    #expect(need.afterRefresh(granted: []).isUnexecuted)
  }

  @Test(
    arguments: [
      (.adminConsent, false), (.declined, false), (.blocked, false), (.config, false),
      (.transient(retryAfter: nil), false), (.claims, false), (.stepUp, true), (.reauth(.grantEnded), true),
      (.consent, true),
    ] as [(ConsentNeed.Kind, Bool)])
  func `can be repaired or not by its kind`(kind: ConsentNeed.Kind, isRepairable: Bool) {
    #expect(ConsentNeed(kind, source: .challenge, code: "").isRepairable == isRepairable)
  }
}
