internal import JSON

/// A configured rule that fits an answer, and the part of the answer it fits.
struct RuleMatch {
  private let rule: ConsentRule
  private let value: String
  /// Where the other pointers lead from: first the part that has the code, then the whole answer.
  private let roots: [JSONValue]

  /// The first of `rules` whose code stands in one of `roots`, the first of which is the whole answer.
  init?(_ rules: [ConsentRule], in roots: [JSONValue]) {
    for rule in rules {
      for pointer in rule.code {
        for root in roots {
          guard let value = Self.text(root.at(pointer: pointer)), rule.values.contains(value) else {
            continue
          }
          self.rule = rule
          self.value = value
          self.roots = [root] + roots.prefix(1)
          return
        }
      }
    }
    return nil
  }

  /// The need the rule describes. What the rule does not name is taken from `facts`, and so is a verdict that no
  /// consent page can change.
  func need(
    _ facts: ErrorFacts, source: ConsentNeed.Source, providerOrigins: Set<String>, isTurnedAway: Bool
  ) -> ConsentNeed {
    let generic = facts.need(source: source, providerOrigins: providerOrigins, isTurnedAway: isTurnedAway)
    if let generic, generic.kind.isFinal { return generic }
    let found = facts.found(providerOrigins: providerOrigins)
    let claims = at(rule.claims).flatMap(ErrorFacts.claims) ?? facts.claims
    let scopes = at(rule.scopes).map(Self.scopes) ?? []
    let link = at(rule.link)?.string.flatMap(ConsentLink.safe) ?? found.link
    return ConsentNeed(
      claims == nil ? .consent : .claims, source: source, code: String(value.prefix(Self.maxCode)),
      scopes: scopes.isEmpty ? found.scopes : scopes, claims: claims, acrValues: facts.acrValues,
      maxAge: facts.maxAge, target: rule.target, link: link, correlation: facts.correlation,
      isUnexecuted: rule.unexecuted || isTurnedAway)
  }

  private func at(_ pointer: String?) -> JSONValue? {
    guard let pointer else { return nil }
    return roots.lazy.compactMap { $0.at(pointer: pointer) }.first
  }

  private static let maxCode = 64

  private static func text(_ value: JSONValue?) -> String? {
    value?.string ?? value?.number?.text
  }

  private static func scopes(_ value: JSONValue) -> [String] {
    if let text = value.string { return ScopeList.parse(text) }
    return ScopeList.union((value.array ?? []).prefix(ScopeList.maxScopes).compactMap(\.string))
  }
}

extension ConsentNeed.Kind {
  /// Whether asking the user cannot change it.
  fileprivate var isFinal: Bool {
    switch self {
    case .adminConsent, .declined, .blocked, .transient, .config: true
    case .reauth, .consent, .claims, .stepUp: false
    }
  }
}
