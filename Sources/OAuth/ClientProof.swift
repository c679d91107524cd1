internal import Basics

/// What a request carries to prove which client sends it: by exactly one method (RFC 6749 §2.3).
struct ClientProof {
  var form: [(String, String)] = []
  var fields: [(name: String, value: String)] = []

  private static let assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

  /// `client_id` and an assertion (RFC 7523 §2.2).
  static func assertion(_ assertion: Secret, clientID: String) -> ClientProof {
    ClientProof(form: [
      ("client_id", clientID), ("client_assertion_type", assertionType),
      ("client_assertion", assertion.reveal()),
    ])
  }

  /// RFC 6749 §2.3.1: both parts are form-encoded before they are joined, so that a colon or any letter may stand in them.
  static func basic(_ secret: Secret, clientID: String) -> ClientProof {
    let pair = PercentEncoding.encode(clientID) + ":" + PercentEncoding.encode(secret.reveal())
    return ClientProof(fields: [("Authorization", "Basic " + Base64.encode(Array(pair.utf8)))])
  }
}

extension ProviderSettings {
  /// A fresh proof for one request.
  func proof(metadata: ProviderMetadata, now: Timestamp) async throws(OAuthError) -> ClientProof {
    switch authentication {
    case .none, .mutualTLS: return ClientProof(form: [("client_id", clientID)])
    case .clientSecretBasic(let secret): return .basic(secret, clientID: clientID)
    case .clientSecretPost(let secret):
      return ClientProof(form: [("client_id", clientID), ("client_secret", secret.reveal())])
    case .privateKeyJWT(let key):
      let audience =
        switch assertionAudience {
        case .tokenEndpoint: metadata.tokenEndpointText
        case .issuer: metadata.issuer
        case .fixed(let value): value
        }
      return .assertion(
        try await key.assertion(clientID: clientID, audience: audience, now: now), clientID: clientID)
    case .federatedAssertion(let source):
      do { return .assertion(try await source(), clientID: clientID) } catch {
        throw .credential("the client assertion could not be read: \(error)")
      }
    }
  }
}
