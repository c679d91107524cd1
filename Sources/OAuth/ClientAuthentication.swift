public import Basics

/// How the proxy proves to the provider who it is (OpenID Connect Core 1.0 §9). Exactly one method is used for a request.
public enum ClientAuthentication: Sendable {
  /// A public client: the identifier only.
  case none
  /// Identifier and secret in `Authorization: Basic` (RFC 6749 §2.3.1).
  case clientSecretBasic(Secret)
  /// Identifier and secret in the form.
  case clientSecretPost(Secret)
  /// A fresh signed assertion (RFC 7523 §2.2).
  case privateKeyJWT(ClientAssertionKey)
  /// An assertion that somebody else made, such as a workload identity's token in a file. The closure is asked for every request, so
  /// that a rotated file is seen; its error ends the request as ``OAuthError/credential(_:)``.
  case federatedAssertion(@Sendable () async throws -> Secret)
  /// The certificate of the TLS connection (RFC 8705 §2); requests carry the identifier only and go to `mtls_endpoint_aliases` where
  /// metadata has them. The transport must present the certificate.
  case mutualTLS
}
