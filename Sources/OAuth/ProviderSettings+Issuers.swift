internal import Basics

extension ProviderSettings {
  /// Whether an ID token of `issuer` can be this provider's: it is the configured issuer, or one of those that Entra's `common` and
  /// `organizations` stand for; and its tenant is allowed.
  ///
  /// - Parameter tenant: the `tid`; nil: what the issuer itself names.
  public func standsFor(issuer: String, tenant: String?) -> Bool {
    if issuer != self.issuer {
      let fits = IssuerTemplate.CommonName.allCases.contains { name in
        guard let template = IssuerTemplate(configured: self.issuer, name) else { return false }
        return template.tenant(in: issuer) != nil
      }
      guard fits else { return false }
    }
    guard !allowedTenants.isEmpty, let tenant = tenant ?? IssuerTemplate.tenant(ofEntra: issuer) else {
      return true
    }
    return allowedTenants.contains { ASCII.equalsIgnoringCase($0, tenant) }
  }
}

extension IssuerTemplate {
  /// The template that is served at `configured`, an address for the tenants that `name` stands for; nil when it is none.
  init?(configured: String, _ name: CommonName) {
    let parts = configured.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count > 3, parts[3] == name.rawValue else { return nil }
    prefix = parts[..<3].joined(separator: "/") + "/"
    suffix = parts.count > 4 ? "/" + parts[4...].joined(separator: "/") : ""
  }
}
