/// Why an ID token (OpenID Connect Core 1.0 §3.1.3.7) or a logout token (Back-Channel Logout 1.0 §2.6) is not acceptable. One reason per
/// rule; the raw value is for logs and metrics.
public enum IDTokenRejection: String, Error, Sendable, Hashable, CaseIterable {
  /// The provider sent none.
  case missing
  /// Longer than 64 KiB.
  case tooLarge = "too_large"
  /// Not three parts of base64url with JSON objects in them.
  case malformed
  /// Five parts: encrypted (JWE), which is not supported.
  case encrypted
  /// A JSON object in it has one key twice.
  case duplicateMember = "duplicate_member"
  /// `alg` is `none`.
  case unsigned
  /// `alg` is not in the allow-list or not in the provider's metadata.
  case algorithm
  /// The key named by `kid` is not for this `alg`.
  case algorithmKeyMismatch = "algorithm_key_mismatch"
  /// `typ` says that this is another kind of token.
  case type
  /// `crit` demands an extension; none is understood.
  case critical
  /// No key of the provider has this `kid`.
  case unknownKey = "unknown_key"
  /// No `kid`, and not exactly one key fits.
  case ambiguousKey = "ambiguous_key"
  /// The signature is not the provider's.
  case signature
  /// `iss` is missing or not the provider's.
  case issuer
  /// `tid` is missing or no GUID, though the provider's issuer is a template.
  case tenant
  /// `tid` is not in the allow-list.
  case tenantNotAllowed = "tenant_not_allowed"
  /// The key signs for another issuer of the same key set.
  case keyIssuer = "key_issuer"
  /// `aud` is missing or does not name this client.
  case audience
  /// `aud` names an audience besides this client that is not trusted.
  case untrustedAudience = "untrusted_audience"
  /// Several audiences and no `azp`.
  case authorizedPartyMissing = "authorized_party_missing"
  /// `azp` names another client.
  case authorizedParty = "authorized_party"
  /// `exp` is missing or not a number.
  case expiryMissing = "expiry_missing"
  /// `exp` has passed.
  case expired
  /// `nbf` has not come, or is not a number.
  case notYetValid = "not_yet_valid"
  /// `iat` is missing or not a number.
  case issuedAtMissing = "issued_at_missing"
  /// `iat` lies in the future.
  case issuedInFuture = "issued_in_future"
  /// `iat` is older than a sign-in may take.
  case issuedTooLongAgo = "issued_too_long_ago"
  /// No `nonce`, though one was sent.
  case nonceMissing = "nonce_missing"
  /// `nonce` is not the one that was sent.
  case nonce
  /// `at_hash` does not fit the access token.
  case accessTokenHash = "access_token_hash"
  /// `c_hash` does not fit the code.
  case codeHash = "code_hash"
  /// `sub` is missing or empty.
  case subject
  /// `sub` is longer than 255 bytes.
  case subjectTooLong = "subject_too_long"
  /// `sub` is not the one that was expected.
  case subjectChanged = "subject_changed"
  /// No usable `auth_time`, though `max_age` was asked.
  case authTimeMissing = "auth_time_missing"
  /// The user signed in longer ago than `max_age` allows.
  case authTimeTooOld = "auth_time_too_old"
  /// `acr` is none of those that are required.
  case authenticationContext = "authentication_context"
  /// A logout token without `events`, or without the event of a back-channel logout there, or with one that is no object.
  case logoutEvent = "logout_event"
  /// A logout token with `nonce`: it may be an ID token.
  case logoutNonce = "logout_nonce"
  /// A logout token without a usable `jti`.
  case logoutID = "logout_id"
  /// A logout token with neither `sub` nor `sid`.
  case logoutOfNobody = "logout_of_nobody"
  /// A logout token whose `sid` is no text of 1 to 255 bytes.
  case logoutSession = "logout_session"
}
