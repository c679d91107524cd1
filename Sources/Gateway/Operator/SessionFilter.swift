internal import Basics
internal import Sessions

/// Which sessions an operator means. What is nil does not count.
struct SessionFilter: Sendable, Equatable {
  /// A subject (or object id), user name or e-mail address, exactly.
  var user: String?
  var issuer: String?
  /// Where users are known by tenant and object.
  var tenant: String?
  /// The configured provider's name.
  var provider: String?

  var isEmpty: Bool { self == SessionFilter() }

  func matches(_ session: Session) -> Bool {
    if let issuer, session.user.issuer != issuer { return false }
    if let tenant, session.user.tenant != tenant { return false }
    if let provider, session.provider != provider { return false }
    guard let user else { return true }
    return [session.user.subject, session.profile.username, session.profile.email].contains(user)
  }

  /// The user that it can mean without a look at every session; nil where it may mean several, or one by name.
  var key: UserKey? {
    guard let user, provider == nil else { return nil }
    if let tenant { return UserKey(issuer: issuer ?? "", tenant: tenant, objectID: user) }
    return issuer.map { UserKey(issuer: $0, subject: user) }
  }

  /// From query parameters; nil when one is there that is not known, twice, or empty: a misspelt name must not mean everybody.
  /// - Parameter others: names that are somebody else's business.
  init?(_ query: [(String, String)], others: Set<String>) {
    self.init()
    var seen: Set<String> = []
    for (name, value) in query {
      guard !value.isEmpty, seen.insert(name).inserted else { return nil }
      switch name {
      case "user": user = value
      case "issuer": issuer = value
      case "tenant": tenant = value
      case "provider": provider = value
      default: guard others.contains(name) else { return nil }
      }
    }
  }

  init(user: String? = nil, issuer: String? = nil, tenant: String? = nil, provider: String? = nil) {
    (self.user, self.issuer, self.tenant, self.provider) = (user, issuer, tenant, provider)
  }

  /// As query parameters.
  var query: [(String, String)] {
    [("user", user), ("issuer", issuer), ("tenant", tenant), ("provider", provider)].compactMap {
      name, value in
      value.map { (name, $0) }
    }
  }
}
