public import Basics

/// Who somebody is at the provider, for good: never an e-mail address or a name, which can be given to
/// another person.
///
/// OpenID Connect Core §5.7 names (issuer, subject). For Microsoft Entra, where `sub` differs from
/// application to application, (tenant, object id) is the stable pair.
public struct UserKey: Sendable, Hashable {
  /// The `iss` of the ID token.
  public let issuer: String
  /// The `sub` of the ID token, or `oid` where ``tenant`` is set.
  public let subject: String
  /// The `tid` of the ID token where users are known by (tenant, object id).
  public let tenant: String?
  /// SHA-256 over all parts: stands for the user in tables that must not hold names, and in the store's
  /// index.
  public let digest: Bytes32

  /// The general key.
  public init(issuer: String, subject: String) {
    self.issuer = issuer
    self.subject = subject
    tenant = nil
    digest = Fingerprint.sha256(parts: ["user", issuer, subject])
  }

  /// The key of Microsoft Entra: `tid` and `oid` of the ID token. Of the issuer only its authority counts, and all of
  /// Microsoft's are one: versions of tokens differ in the issuer, and tenants have the same ids in all of them. Another
  /// authority, which may put any tenant into its tokens, speaks for its own users alone.
  public init(issuer: String, tenant: String, objectID: String) {
    self.issuer = issuer
    subject = objectID
    self.tenant = tenant
    let authority = Self.authority(of: issuer)
    digest = Fingerprint.sha256(
      parts: ["entra"] + (Self.microsofts.contains(authority) ? [] : [authority]) + [tenant, objectID])
  }

  private static let microsofts: Set<String> = [
    "https://login.microsoftonline.com", "https://login.microsoftonline.us",
    "https://login.partner.microsoftonline.cn", "https://sts.windows.net",
  ]

  /// Scheme, host and port.
  private static func authority(of issuer: String) -> String {
    issuer.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).prefix(3).joined(
      separator: "/")
  }

  public static func == (a: UserKey, b: UserKey) -> Bool { a.digest == b.digest }
  public func hash(into hasher: inout Hasher) { hasher.combine(digest) }

  /// What a provider's `sid` is indexed by: it is unique within its issuer only.
  static func sidDigest(issuer: String, sid: String) -> Bytes32 {
    Fingerprint.sha256(parts: ["sid", issuer, sid])
  }
}

/// What pages may show of a user.
public struct UserProfile: Sendable, Hashable {
  /// The full name (`name`).
  public var name: String?
  /// The name used for signing in (`preferred_username`); may change, so it identifies nobody.
  public var username: String?
  /// The e-mail address (`email`).
  public var email: String?
  /// The allow-listed claims, a JSON object as text.
  public var claims: String?

  /// A profile; all parts may be absent.
  public init(name: String? = nil, username: String? = nil, email: String? = nil, claims: String? = nil) {
    self.name = name
    self.username = username
    self.email = email
    self.claims = claims
  }
}
