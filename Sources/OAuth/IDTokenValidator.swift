internal import Basics
internal import Crypto
internal import JSON

/// The rules for ID tokens (OpenID Connect Core 1.0 §3.1.3.7 and Entra's additions), each with its own ``IDTokenRejection``. Pure: keys
/// and time come from outside.
struct IDTokenValidator {
  let settings: ProviderSettings
  let metadata: ProviderMetadata
  let now: Timestamp

  /// How old a token may be that was made for the request at hand, besides the skew.
  static let maxAge = Duration.seconds(600)
  static let maxSubjectBytes = 255
  /// `typ` of what is taken for an ID token.
  static let types: Set<String> = ["jwt", "id_token+jwt"]

  var skew: Duration { settings.clockSkew }

  // MARK: Signature

  /// What the header alone decides: which algorithm is to be used. `types`: what `typ` may say, where it is there.
  func algorithm(of token: SignedToken, types: Set<String>) throws(IDTokenRejection) -> SigningAlgorithm {
    guard ASCII.lowercased(token.algorithmName) != "none" else { throw .unsigned }
    guard let algorithm = SigningAlgorithm(rawValue: token.algorithmName),
      metadata.algorithms(allowed: settings.allowedAlgorithms).contains(algorithm)
    else { throw .algorithm }
    if let type = token.type, !types.contains(type) { throw .type }
    guard !token.hasCriticalExtensions else { throw .critical }
    return algorithm
  }

  /// The keys that signed `token`: several when a set has one key more than once, for several issuers.
  func signers(
    of token: SignedToken, _ algorithm: SigningAlgorithm, among keys: [VerificationKey]
  ) throws(IDTokenRejection) -> [VerificationKey] {
    let candidates: [VerificationKey]
    if let keyID = token.keyID {
      let named = keys.filter { $0.keyID == keyID }
      guard !named.isEmpty else { throw .unknownKey }
      candidates = named.filter { $0.fits(algorithm) }
      guard !candidates.isEmpty else { throw .algorithmKeyMismatch }
    } else {
      candidates = keys.filter { $0.fits(algorithm) }
      guard candidates.count == 1 else { throw .ambiguousKey }
    }
    let signers = candidates.filter { $0.verifies(token.signature, of: token.signingInput, by: algorithm) }
    guard !signers.isEmpty else { throw .signature }
    return signers
  }

  // MARK: Claims

  /// What the claims say, when every rule holds.
  func check(
    _ claims: JSONObject, signedBy keys: [VerificationKey], _ algorithm: SigningAlgorithm,
    expecting expectation: IDTokenExpectation
  ) throws(IDTokenRejection) -> IDTokenClaims {
    let issuer = try checkIssuer(claims, keys)
    let audience = try checkAudience(claims)
    let (expiresAt, issuedAt) = try checkTimes(claims, isFresh: expectation.nonce != nil)
    if let nonce = expectation.nonce {
      guard let found = claims["nonce"]?.string else { throw .nonceMissing }
      guard Secret(found) == Secret(nonce) else { throw .nonce }
    }
    try checkHash(claims["at_hash"], of: expectation.accessToken, algorithm, otherwise: .accessTokenHash)
    try checkHash(claims["c_hash"], of: expectation.code, algorithm, otherwise: .codeHash)
    let subject = try checkSubject(claims, expectation.subject)
    let authTime = Self.time(claims["auth_time"])
    if let maxAge = expectation.maxAge {
      guard let authTime else { throw .authTimeMissing }
      guard now - authTime <= maxAge + skew else { throw .authTimeTooOld }
    }
    if !expectation.requiredACRValues.isEmpty {
      guard let acr = claims["acr"]?.string, expectation.requiredACRValues.contains(acr) else {
        throw .authenticationContext
      }
    }
    return IDTokenClaims(
      issuer: issuer, subject: subject, audience: audience, expiresAt: expiresAt, issuedAt: issuedAt,
      authTime: authTime, raw: claims)
  }

  func checkIssuer(
    _ claims: JSONObject, _ keys: [VerificationKey]
  ) throws(IDTokenRejection) -> String {
    guard let issuer = claims["iss"]?.string else { throw .issuer }
    let tenant = claims["tid"]?.string
    if let template = metadata.issuerTemplate {
      guard let tenant, IssuerTemplate.isGUID(tenant) else { throw .tenant }
      guard issuer == template.issuer(tenant: tenant) else { throw .issuer }
      // Who asks for organisations does not want the tenant of all personal accounts, unless it is listed.
      if settings.allowedTenants.isEmpty, template.isServed(at: settings.issuer, as: .organizations) {
        guard ASCII.lowercased(tenant) != IssuerTemplate.consumerTenant else { throw .tenantNotAllowed }
      }
    } else {
      guard issuer == metadata.issuer else { throw .issuer }
      // The user is known by tenant and object there, so the tenant must be the issuer's.
      if settings.profile == .entra, let tenant, let own = IssuerTemplate.tenant(ofEntra: issuer) {
        guard ASCII.equalsIgnoringCase(tenant, own) else { throw .tenant }
      }
    }
    if !settings.allowedTenants.isEmpty {
      guard let tenant else { throw .tenant }
      guard settings.allowedTenants.contains(where: { ASCII.equalsIgnoringCase($0, tenant) }) else {
        throw .tenantNotAllowed
      }
    }
    // A set for many tenants may hold keys that are good for one of them only.
    let mayStandFor = keys.contains { key in
      guard let keyIssuer = key.issuer else { return true }
      return issuer == IssuerTemplate(keyIssuer).map { $0.issuer(tenant: tenant ?? "") } ?? keyIssuer
    }
    guard mayStandFor else { throw .keyIssuer }
    return issuer
  }

  func checkAudience(_ claims: JSONObject) throws(IDTokenRejection) -> [String] {
    guard let audience = claims["aud"]?.string.map({ [$0] }) ?? claims["aud"]?.strings,
      audience.contains(settings.clientID)
    else { throw .audience }
    guard audience.allSatisfy({ $0 == settings.clientID || settings.trustedAudiences.contains($0) }) else {
      throw .untrustedAudience
    }
    if let party = claims["azp"] {
      guard party.string == settings.clientID else { throw .authorizedParty }
    } else if audience.count > 1 {
      throw .authorizedPartyMissing
    }
    return audience
  }

  func checkTimes(
    _ claims: JSONObject, isFresh: Bool
  ) throws(IDTokenRejection) -> (expiresAt: Timestamp, issuedAt: Timestamp) {
    guard let expiresAt = Self.time(claims["exp"]) else { throw .expiryMissing }
    guard now <= expiresAt + skew else { throw .expired }
    if let notBefore = claims["nbf"] {
      guard let time = Self.time(notBefore), time <= now + skew else { throw .notYetValid }
    }
    guard let issuedAt = Self.time(claims["iat"]) else { throw .issuedAtMissing }
    guard issuedAt <= now + skew else { throw .issuedInFuture }
    guard !isFresh || now - issuedAt <= Self.maxAge + skew else { throw .issuedTooLongAgo }
    return (expiresAt, issuedAt)
  }

  func checkSubject(_ claims: JSONObject, _ expected: String?) throws(IDTokenRejection) -> String {
    guard let subject = claims["sub"]?.string, !subject.isEmpty else { throw .subject }
    guard subject.utf8.count <= Self.maxSubjectBytes else { throw .subjectTooLong }
    guard expected == nil || expected == subject else { throw .subjectChanged }
    return subject
  }

  /// The left half of the hash that belongs to the algorithm (OpenID Connect Core 1.0 §3.1.3.6).
  private func checkHash(
    _ claim: JSONValue?, of value: Secret?, _ algorithm: SigningAlgorithm,
    otherwise rejection: IDTokenRejection
  ) throws(IDTokenRejection) {
    guard let claim, let value else { return }
    let bytes = Array(value.reveal().utf8)
    let digest: [UInt8] =
      switch algorithm {
      case .rs256, .ps256, .es256: Array(SHA256.hash(data: bytes))
      case .rs384, .ps384, .es384: Array(SHA384.hash(data: bytes))
      case .rs512, .ps512, .es512, .edDSA: Array(SHA512.hash(data: bytes))
      }
    let expected = Base64URL.encode(Array(digest.prefix(digest.count / 2)))
    guard let found = claim.string, Secret(found) == Secret(expected) else { throw rejection }
  }

  /// A NumericDate (RFC 7519 §2): seconds, possibly with a fraction. Held at the limits of time.
  private static func time(_ value: JSONValue?) -> Timestamp? {
    guard let value else { return nil }
    if let seconds = value.int64 { return Timestamp(seconds: seconds) }
    guard let seconds = value.double, seconds.isFinite else { return nil }
    return Timestamp(seconds: Int64(exactly: min(max(seconds, -9e15), 9e15).rounded(.down)) ?? 0)
  }
}
