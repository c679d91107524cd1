public import Basics
internal import Crypto

/// Under what an exchanged token is kept, so that it serves nobody else and nothing else.
public enum ExchangeCacheKey {
  /// SHA-256 over all that makes two exchanges the same. Every part stands behind its length, so that no two lists of parts read alike;
  /// scopes and targets count without order and repetition.
  ///
  /// - Parameters:
  ///   - session: the session's hash; nil for a caller without one.
  ///   - subjectHash: ``hash(_:)`` of the subject token. Always part of the key: a user's name alone never is one.
  ///   - user: issuer and subject of the user, where known.
  ///   - resource: what the token is for: resources and audiences.
  ///   - actor: ``hash(_:)`` of the actor token.
  public static func key(
    issuer: String, clientID: String, form: ExchangeRequest.Form, session: Bytes32?, subjectHash: Bytes32,
    user: (issuer: String, subject: String)?, resource: [String], scopes: [String], claims: String?,
    requestedTokenType: ExchangeRequest.TokenType?, actor: Bytes32?
  ) -> Bytes32 {
    var digest = PartDigest()
    digest.add(issuer)
    digest.add(clientID)
    digest.add(form.rawValue)
    digest.add(session?.bytes)
    digest.add(subjectHash.bytes)
    digest.add(user?.issuer)
    digest.add(user?.subject)
    digest.add(set: resource)
    digest.add(set: scopes)
    digest.add(claims)
    digest.add(requestedTokenType?.rawValue)
    digest.add(actor?.bytes)
    return digest.value
  }

  /// SHA-256 of a token.
  public static func hash(_ token: Secret) -> Bytes32 {
    var digest = SHA256()
    digest.update(data: Array(token.reveal().utf8))
    return digest.bytes32
  }
}

extension ExchangeRequest {
  /// Under what the answer to this request is kept; ``ExchangeCacheKey``.
  public func cacheKey(
    issuer: String, clientID: String, session: Bytes32?, user: (issuer: String, subject: String)?
  ) -> Bytes32 {
    ExchangeCacheKey.key(
      issuer: issuer, clientID: clientID, form: form, session: session,
      subjectHash: ExchangeCacheKey.hash(subjectToken), user: user,
      // An audience and a resource of the same name are two things.
      resource: audience.map { "audience " + $0 } + resource.map { "resource " + $0 }, scopes: scope,
      claims: claims, requestedTokenType: requestedTokenType,
      actor: actorToken.map { ExchangeCacheKey.hash($0) })
  }
}

/// SHA-256 over parts, each behind its length; a part that is not there differs from an empty one.
private struct PartDigest {
  private var sha = SHA256()

  mutating func add(_ part: [UInt8]?) {
    add(count: part?.count ?? -1)
    if let part { sha.update(data: part) }
  }

  mutating func add(_ part: String?) { add(part.map { Array($0.utf8) }) }

  mutating func add(set parts: [String]) {
    let parts = Set(parts).sorted()
    add(count: parts.count)
    for part in parts { add(part) }
  }

  var value: Bytes32 { sha.bytes32 }

  private mutating func add(count: Int) {
    let number = UInt64(bitPattern: Int64(count))
    sha.update(
      data: stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> UInt64($0)) })
  }
}

extension SHA256 {
  fileprivate var bytes32: Bytes32 {
    // A SHA-256 always has 32 bytes.
    Bytes32(Array(finalize())) ?? Bytes32(0, 0, 0, 0)
  }
}
