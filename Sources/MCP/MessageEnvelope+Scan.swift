public import Basics
internal import JSON

extension MessageEnvelope {
  /// Reads the message at `range`. Never fails: what cannot be read is ``Kind/invalid(_:)``. Linear in the
  /// length.
  public static func scan(_ buffer: borrowing Buffer, _ range: Range<Int>) -> MessageEnvelope {
    var envelope = MessageEnvelope()
    switch JSONScanner.kind(buffer, range) {
    case .object?:
      do {
        try envelope.scanMessage(buffer, range)
      } catch {
        envelope = MessageEnvelope()
        envelope.kind = .invalid(error)
      }
    case .array? where JSONScanner.isOneValue(buffer, range, maxDepth: maxDepth): envelope.kind = .batch
    case .some(let kind) where kind != .array && JSONScanner.isOneValue(buffer, range, maxDepth: maxDepth):
      envelope.kind = .invalid(.notAnObject)
    default: envelope.kind = .invalid(.notJSON)
    }
    return envelope
  }

  private mutating func scanMessage(_ buffer: borrowing Buffer, _ range: Range<Int>) throws(Defect) {
    var outcome: Range<Int>?
    var failure: Range<Int>?
    var params: JSONScanner.Value?
    guard var members = JSONScanner(object: buffer, range, maxDepth: Self.maxDepth) else { throw .notJSON }
    while let member = try Self.next(&members, buffer) {
      switch Self.topMember(buffer, member) {
      case .method:
        guard member.value.kind == .string else { throw .badMethod }
        try Self.once(&method, member.value.content)
        methodHasEscapes = member.value.hasEscapes
      case .id:
        switch member.value.kind {
        case .string, .number, .null: try Self.once(&id, member.value.range)
        default: throw .badID
        }
      case .params:
        guard params == nil else { throw .repeatedMember }
        params = member.value
      case .result: try Self.once(&outcome, member.value.range)
      case .error: try Self.once(&failure, member.value.range)
      case .other: break
      }
    }
    guard members.hasOnlySpaceBehind(buffer) else { throw .notJSON }
    guard let method else {
      guard (outcome == nil) != (failure == nil) else { throw .unclear }
      kind = .response
      return
    }
    guard outcome == nil, failure == nil else { throw .unclear }
    kind = id == nil ? .notification : .request
    knownMethod = Self.known(buffer, method, methodHasEscapes)
    if let params, params.kind == .object { try scanParams(buffer, params.range) }
  }

  private mutating func scanParams(_ buffer: borrowing Buffer, _ range: Range<Int>) throws(Defect) {
    params = range
    var calledName: JSONScanner.Value?
    var uri: JSONScanner.Value?
    var meta: Range<Int>?
    var opening: Range<Int>?
    guard var members = JSONScanner(object: buffer, range, maxDepth: Self.maxDepth) else { throw .notJSON }
    while let member = try Self.next(&members, buffer) {
      switch Self.paramsMember(buffer, member) {
      case .name: try Self.once(&calledName, member.value)
      case .uri: try Self.once(&uri, member.value)
      case .meta: try Self.once(&meta, member.value.range)
      case .capabilities: try Self.once(&opening, member.value.range)
      case .version:
        if member.value.kind == .string { try Self.once(&requestedVersion, member.value.content) }
      case .state: try Self.once(&requestState, member.value.range)
      case .responses: try Self.once(&inputResponses, member.value.range)
      case .other: break
      }
    }
    let called = knownMethod == .resourcesRead ? uri : calledName
    if knownMethod.hasName, let called, called.kind == .string {
      name = called.content
      nameHasEscapes = called.hasEscapes
    }
    if let meta { try scanMeta(buffer, meta) }
    guard knownMethod == .initialize else {
      requestedVersion = nil
      return
    }
    if let opening { capabilities.formUnion(try Self.capabilities(buffer, opening)) }
  }

  private mutating func scanMeta(_ buffer: borrowing Buffer, _ range: Range<Int>) throws(Defect) {
    guard var members = JSONScanner(object: buffer, range, maxDepth: Self.maxDepth) else { return }
    var declared: Range<Int>?
    while let member = try Self.next(&members, buffer) {
      let (key, escaped) = (member.key, member.keyHasEscapes)
      if JSONText.equals(buffer, key, escaped: escaped, "io.modelcontextprotocol/protocolVersion") {
        try Self.once(&metaVersion, member.value.content)
      } else if JSONText.equals(buffer, key, escaped: escaped, "io.modelcontextprotocol/clientCapabilities") {
        try Self.once(&declared, member.value.range)
      }
    }
    if let declared { capabilities.formUnion(try Self.capabilities(buffer, declared)) }
  }

  // MARK: Members

  private enum TopMember { case method, id, params, result, error, other }

  private static func topMember(_ buffer: borrowing Buffer, _ member: JSONScanner.Member) -> TopMember {
    let (key, escaped) = (member.key, member.keyHasEscapes)
    if JSONText.equals(buffer, key, escaped: escaped, "method") { return .method }
    if JSONText.equals(buffer, key, escaped: escaped, "id") { return .id }
    if JSONText.equals(buffer, key, escaped: escaped, "params") { return .params }
    if JSONText.equals(buffer, key, escaped: escaped, "result") { return .result }
    if JSONText.equals(buffer, key, escaped: escaped, "error") { return .error }
    return .other
  }

  private enum ParamsMember { case name, uri, meta, capabilities, version, state, responses, other }

  private static func paramsMember(_ buffer: borrowing Buffer, _ member: JSONScanner.Member) -> ParamsMember {
    let (key, escaped) = (member.key, member.keyHasEscapes)
    if JSONText.equals(buffer, key, escaped: escaped, "name") { return .name }
    if JSONText.equals(buffer, key, escaped: escaped, "_meta") { return .meta }
    if JSONText.equals(buffer, key, escaped: escaped, "uri") { return .uri }
    if JSONText.equals(buffer, key, escaped: escaped, "capabilities") { return .capabilities }
    if JSONText.equals(buffer, key, escaped: escaped, "protocolVersion") { return .version }
    if JSONText.equals(buffer, key, escaped: escaped, "requestState") { return .state }
    if JSONText.equals(buffer, key, escaped: escaped, "inputResponses") { return .responses }
    return .other
  }

  private static func known(_ buffer: borrowing Buffer, _ method: Range<Int>, _ escaped: Bool) -> Method {
    if JSONText.equals(buffer, method, escaped: escaped, "tools/call") { return .toolsCall }
    if JSONText.equals(buffer, method, escaped: escaped, "initialize") { return .initialize }
    if JSONText.equals(buffer, method, escaped: escaped, "resources/read") { return .resourcesRead }
    if JSONText.equals(buffer, method, escaped: escaped, "prompts/get") { return .promptsGet }
    return .other
  }

  private static func capabilities(
    _ buffer: borrowing Buffer, _ range: Range<Int>
  ) throws(Defect) -> ClientCapabilities {
    do { return try ClientCapabilities.scan(buffer, range) } catch { throw .notJSON }
  }

  private static func next(
    _ members: inout JSONScanner, _ buffer: borrowing Buffer
  ) throws(Defect) -> JSONScanner.Member? {
    do { return try members.nextMember(buffer) } catch { throw .notJSON }
  }

  /// Takes a value that may occur only once: of two, another parser might use the other.
  private static func once<Value>(_ slot: inout Value?, _ value: Value) throws(Defect) {
    guard slot == nil else { throw .repeatedMember }
    slot = value
  }
}
