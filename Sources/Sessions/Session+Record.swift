internal import Basics

// The form in which a session is sealed. `lastSeenAt` is not in it: it changes at every use and has a column
// of its own.
extension Session {
  /// Version of the form, its first byte. Another form gets another number, so that a newer program can read
  /// an older file.
  /// 1 has no ``withheldScopes``, 2 no ``ExtensionField``s. What comes later is such a field, not another version: a program that
  /// does not know it keeps it, so that programs of two releases can share a store.
  private static let recordVersion: UInt8 = 3

  /// The session as bytes, tokens included: only for sealing.
  func record() -> [UInt8] { record(RecordWriter()) }

  /// The same in the least room, for ``PackedSession``.
  func compactRecord() -> [UInt8] {
    let grown = record(RecordWriter(isCompact: true))
    // What grew has room to grow on.
    var exact: [UInt8] = []
    exact.reserveCapacity(grown.count)
    exact += grown
    return exact
  }

  private func record(_ writer: RecordWriter) -> [UInt8] {
    var writer = writer
    writer.append(byte: Self.recordVersion)
    writer.append(generation)
    writer.append(common: user.issuer)
    writer.append(user.subject)
    writer.append(user.tenant) { $0.append($1) }
    for part in [profile.name, profile.username, profile.email, profile.claims] {
      writer.append(part) { $0.append($1) }
    }
    writer.append(createdAt)
    writer.append(authTime) { $0.append($1) }
    writer.append(idToken) { $0.append($1) }
    writer.append(refreshToken) { $0.append($1) }
    writer.append(common: grantedScopes)
    writer.append(sid) { $0.append($1) }
    writer.append(loginHint) { $0.append($1) }
    switch state {
    case .active: writer.append(byte: 0)
    case .needsSignIn(let reason):
      writer.append(byte: 1)
      writer.append(reason)
    }
    writer.append(count: tokens.count)
    for (resource, token) in tokens {
      writer.append(common: resource.name)
      writer.append(token.secret)
      writer.append(token.scopes) { $0.append(common: $1) }
      for time in [token.issuedAt, token.softExpiry, token.hardExpiry, token.expiresAt] {
        writer.append(time)
      }
    }
    writer.append(count: extraScopes.count)
    for (resource, scopes) in extraScopes {
      writer.append(common: resource.name)
      writer.append(common: scopes)
    }
    writer.append(common: withheldScopes)
    let fields = knownFields(writer.isCompact) + unknownFields
    writer.append(count: fields.count)
    for field in fields {
      writer.append(count: Int(field.tag))
      writer.append(field.bytes)
    }
    return writer.bytes
  }

  /// Reads a record of the session with this hash.
  init(record: [UInt8], hash: TicketHash, lastSeenAt: Timestamp) throws(SealError) {
    try self.init(RecordReader(record), hash: hash, lastSeenAt: lastSeenAt)
  }

  /// Reads a compact record.
  init(compactRecord: [UInt8], hash: TicketHash, lastSeenAt: Timestamp) throws(SealError) {
    try self.init(RecordReader(compactRecord, isCompact: true), hash: hash, lastSeenAt: lastSeenAt)
  }

  private init(_ reader: RecordReader, hash: TicketHash, lastSeenAt: Timestamp) throws(SealError) {
    var reader = reader
    let version = try reader.byte()
    guard (1...Self.recordVersion).contains(version) else { throw .malformed }
    let generation = try reader.number()
    let issuer = try reader.commonText()
    let subject = try reader.text()
    let tenant = try reader.optional { r throws(SealError) in try r.text() }
    let profile = UserProfile(
      name: try reader.optional { r throws(SealError) in try r.text() },
      username: try reader.optional { r throws(SealError) in try r.text() },
      email: try reader.optional { r throws(SealError) in try r.text() },
      claims: try reader.optional { r throws(SealError) in try r.text() })
    let createdAt = try reader.time()
    let authTime = try reader.optional { r throws(SealError) in try r.time() }
    let idToken = try reader.optional { r throws(SealError) in try r.secret() }
    let refreshToken = try reader.optional { r throws(SealError) in try r.secret() }
    let grantedScopes = try reader.commonTexts()
    let sid = try reader.optional { r throws(SealError) in try r.text() }
    let loginHint = try reader.optional { r throws(SealError) in try r.text() }
    let state: State =
      switch try reader.byte() {
      case 0: .active
      case 1: .needsSignIn(try reader.text())
      default: throw .malformed
      }
    var tokens: [ResourceKey: AccessToken] = [:]
    for _ in 0..<(try reader.count()) {
      let resource = ResourceKey(try reader.commonText())
      tokens[resource] = AccessToken(
        secret: try reader.secret(),
        scopes: try reader.optional { r throws(SealError) in try r.commonTexts() },
        issuedAt: try reader.time(), softExpiry: try reader.time(), hardExpiry: try reader.time(),
        expiresAt: try reader.time())
    }
    var extraScopes: [ResourceKey: [String]] = [:]
    for _ in 0..<(try reader.count()) {
      extraScopes[ResourceKey(try reader.commonText())] = try reader.commonTexts()
    }
    let withheldScopes = version > 1 ? try reader.commonTexts() : []
    var fields = version > 2 ? try ExtensionField.list(&reader) : []
    guard reader.isAtEnd else { throw .malformed }
    let provider = try fields.take(.provider, reader.isCompact) { r throws(SealError) in try r.commonText() }
    let user =
      tenant.map { UserKey(issuer: issuer, tenant: $0, objectID: subject) }
      ?? UserKey(issuer: issuer, subject: subject)
    self.init(
      hash: hash, user: user, provider: provider, profile: profile, createdAt: createdAt,
      lastSeenAt: lastSeenAt,
      authTime: authTime,
      idToken: idToken, refreshToken: refreshToken, grantedScopes: grantedScopes, tokens: tokens,
      extraScopes: extraScopes, withheldScopes: withheldScopes, sid: sid, loginHint: loginHint, state: state,
      generation: generation)
    unknownFields = fields
  }

  /// The parts that are not in every session.
  private func knownFields(_ isCompact: Bool) -> [ExtensionField] {
    var fields: [ExtensionField] = []
    if let provider {
      fields.append(ExtensionField(.provider, isCompact) { $0.append(common: provider) })
    }
    return fields
  }
}
