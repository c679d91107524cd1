import Basics
import JSON

@testable import MCP

extension Target {
  /// A JSON-RPC message: what is peeked at is what a parser finds, and a rewritten message differs only where it was rewritten.
  static let message = Target("message") { input in
    let buffer = Buffer(input)
    let all = 0..<input.count
    let message = MessageEnvelope.scan(buffer, all)
    for range in [
      message.method, message.id, message.params, message.name, message.metaVersion, message.requestedVersion,
      message.requestState, message.inputResponses,
    ] { expectInside(range, all, "a part is in the message") }
    checkPlace(message, input)
    let isJSON = JSONScanner.isOneValue(buffer, all, maxDepth: MessageEnvelope.maxDepth)
    if case .invalid(let defect) = message.kind {
      if !isJSON { return }
      expect(defect != .notJSON, "what is JSON is not called something else")
      return
    }
    expect(isJSON, "a message is JSON")
    if message.kind != .batch {
      compare(message, buffer, with: (try? JSONValue.parse(input, limits: JSONLimits(depth: 64)))?.object)
    }
    if message.kind != .batch { rewrite(message, buffer, all) }
    checkHeaders(message, buffer)
  }

  /// A message further back in the buffer is read alike.
  private static func checkPlace(_ message: MessageEnvelope, _ input: [UInt8]) {
    let buffer = Buffer(Array("{\"a\":".utf8) + input + Array("]}\"".utf8))
    let moved = MessageEnvelope.scan(buffer, 5..<5 + input.count)
    expectEqual(moved.kind, message.kind, "a message is the same at another place")
    expectEqual(moved.method.map { $0.lowerBound - 5 }, message.method?.lowerBound, "its method, too")
    expectEqual(moved.name.map { $0.upperBound - 5 }, message.name?.upperBound, "its name, too")
  }

  private static func compare(
    _ message: MessageEnvelope, _ buffer: borrowing Buffer, with tree: JSONObject?
  ) {
    let id = message.idBytes(buffer)
    expect((try? JSONValue.parse(id)) != nil, "an id is repeated as JSON")
    guard let tree else { return }
    expectEqual(
      message.method == nil ? nil : message.methodBytes(buffer).text,
      tree["method"]?.string.map { $0.utf8.count <= MessageEnvelope.maxIDBytes ? $0 : nil } ?? nil,
      "the method is the one that a parser finds")
    expectEqual(message.kind == .request, tree["method"] != nil && tree["id"] != nil, "a request has an id")
    expectEqual(message.params != nil, tree["params"]?.object != nil, "parameters are an object")
    let params = tree["params"]
    expectEqual(
      message.requestState != nil, message.params != nil && params?["requestState"] != nil, "a state is seen")
    let version = params?["_meta"]?["io.modelcontextprotocol/protocolVersion"]
    expectEqual(message.metaVersion != nil, version != nil, "a revision in _meta is seen")
    if message.knownMethod.hasName {
      let name = params?[message.knownMethod == .resourcesRead ? "uri" : "name"]?.string
      expectEqual(message.name != nil, name != nil, "a name is seen")
      if let name, name.utf8.count <= 64 {
        expectEqual(
          message.nameBytes(buffer, limit: 64), Array(name.utf8), "the name is the one that a parser finds")
      }
    }
  }

  private static func rewrite(
    _ message: MessageEnvelope, _ buffer: borrowing Buffer, _ all: Range<Int>
  ) {
    let original = buffer.array()
    guard
      let bare = RetryInput.rewrite(buffer, all, message, requestState: nil, inputResponses: nil)
    else { return expect(false, "input can always be taken out") }
    if !message.isRetryWithInput { expectEqual(bare, original, "what has no input stays as it is") }
    let bareBuffer = Buffer(bare)
    let bareMessage = MessageEnvelope.scan(bareBuffer, 0..<bare.count)
    expectEqual(
      bareMessage.kind, message.kind, "without its input it is the same kind of message: \(bare.text)")
    expect(!bareMessage.isRetryWithInput, "the input is gone: \(bare.text)")
    expectEqual(
      CallDigest.canonical(bareBuffer, 0..<bare.count, bareMessage),
      CallDigest.canonical(buffer, all, message), "with and without its input it is the same call")
    if let tree = try? JSONValue.parse(original), var object = tree.object,
      case .object(var params)? = object["params"]
    {
      params["requestState"] = nil
      params["inputResponses"] = nil
      object["params"] = .object(params)
      expectEqual(try? JSONValue.parse(bare), .object(object), "nothing else has changed")
    }
    guard message.params != nil else { return }
    let responses: JSONObject = ["k": ["action": "accept"]]
    guard
      let full = RetryInput.rewrite(
        buffer, all, message, requestState: "s\u{e9}\"\\", inputResponses: responses)
    else { return expect(false, "input can be put into parameters") }
    let fullBuffer = Buffer(full)
    let fullMessage = MessageEnvelope.scan(fullBuffer, 0..<full.count)
    let input = RetryInput.read(fullBuffer, fullMessage)
    expectEqual(
      input, RetryInput(requestState: "s\u{e9}\"\\", inputResponses: responses),
      "what was put in is read again: \(full.text)")
  }

  private static func checkHeaders(_ message: MessageEnvelope, _ buffer: borrowing Buffer) {
    // A head that says what the body says.
    var head = Buffer()
    func field(_ bytes: [UInt8]?) -> RoutingHeaders.Field {
      guard let bytes else { return .absent }
      head.append(bytes)
      return .once(head.count - bytes.count..<head.count)
    }
    let headers = RoutingHeaders(
      version: field(message.metaVersion.map { buffer.array($0) }),
      method: field(message.method.map { _ in message.methodBytes(buffer) }),
      name: field(
        message.name.map { _ in
          Array("=?base64?\(Base64.encode(message.nameBytes(buffer, limit: .max / 8)))?=".utf8)
        }))
    let verdict = HeaderRules.check(message, body: buffer, headers: headers, head: head)
    let isPlain =
      (message.method?.count ?? 0) <= MessageEnvelope.maxIDBytes
      && (try? JSONValue.parse(buffer, 0..<buffer.count)) != nil
    if case .mismatch(let why) = verdict, isPlain, message.metaVersion != nil {
      expect(false, "headers that repeat the body fit: \(why)")
    }
    let none = HeaderRules.check(message, body: buffer, headers: RoutingHeaders(), head: head)
    if message.era == .modern, message.kind == .request {
      expect(none != .accepted(.modern), "a modern request without headers is not accepted")
    }
  }
}
