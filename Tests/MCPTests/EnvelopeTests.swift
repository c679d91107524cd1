import Basics
import JSON
import MCP
import TestSupport
import Testing

/// What a scan found, with the ranges turned into text so that tables can be compared.
struct Seen: Equatable, CustomStringConvertible {
  var kind: MessageEnvelope.Kind
  var method: String?
  var name: String?
  var id = "null"
  var isModern = false
  var capabilities: ClientCapabilities = []

  init(
    _ kind: MessageEnvelope.Kind, _ method: String? = nil, name: String? = nil, id: String = "null",
    modern: Bool = false, capabilities: ClientCapabilities = []
  ) {
    (self.kind, self.method, self.name, self.id) = (kind, method, name, id)
    (isModern, self.capabilities) = (modern, capabilities)
  }

  /// Scans `json` as it stands between other bytes of a buffer.
  init(scanning json: String) {
    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
    let buffer = Buffer("{}" + json + "[")
    let envelope = MessageEnvelope.scan(buffer, 2..<buffer.count - 1)
    self.init(
      envelope.kind, envelope.method == nil ? nil : text(envelope.methodBytes(buffer)),
      name: envelope.name == nil ? nil : text(envelope.nameBytes(buffer, limit: 1024)),
      id: String(decoding: envelope.idBytes(buffer), as: UTF8.self), modern: envelope.era == .modern,
      capabilities: envelope.capabilities)
  }

  var description: String {
    "\(kind) \(method ?? "-") \(name ?? "-") \(id) \(isModern) \(capabilities.rawValue)"
  }
}

private let meta = #""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28""#

private let messages: [(String, Seen)] = [
  (
    #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"files","arguments":{"name":"no"}}}"#,
    Seen(.request, "tools/call", name: "files", id: "1")
  ),
  (
    #" {"params":{"arguments":{},"name":"files"},"method":"tools/call","id":"a\"b"} "#,
    Seen(.request, "tools/call", name: "files", id: #""a\"b""#)
  ),
  (
    #"{"id":1.0e0,"method":"tools\/call","params":{"name":"gr\u00fc\u00dfe"}}"#,
    Seen(.request, "tools/call", name: "grüße", id: "1.0e0")
  ),
  (#"{"\u0069d":7,"m\u0065thod":"ping"}"#, Seen(.request, "ping", id: "7")),
  (
    #"{"id":-3,"method":"prompts/get","params":{"name":"p"}}"#,
    Seen(.request, "prompts/get", name: "p", id: "-3")
  ),
  (
    #"{"id":0,"method":"resources/read","params":{"uri":"file:///a","name":"x"}}"#,
    Seen(.request, "resources/read", name: "file:///a", id: "0")
  ),
  (
    #"{"id":1,"method":"completion/complete","params":{"name":"x"}}"#,
    Seen(.request, "completion/complete", id: "1")
  ),
  (#"{"id":1,"method":"tools/call","params":{"name":7}}"#, Seen(.request, "tools/call", id: "1")),
  (#"{"id":1,"method":"tools/call","params":["name"]}"#, Seen(.request, "tools/call", id: "1")),
  (#"{"id":1,"method":"tools/call"}"#, Seen(.request, "tools/call", id: "1")),
  (
    #"{"method":"notifications/cancelled","params":{"requestId":7}}"#,
    Seen(.notification, "notifications/cancelled")
  ),
  (#"{"id":null,"method":"ping"}"#, Seen(.request, "ping")),
  (#"{"jsonrpc":"2.0","id":"srv-1","result":{"action":"accept"}}"#, Seen(.response, id: #""srv-1""#)),
  (#"{"jsonrpc":"2.0","id":3,"error":{"code":1,"message":""}}"#, Seen(.response, id: "3")),
  (#"[{"id":1,"method":"ping"}]"#, Seen(.batch)),
  ("[]", Seen(.batch)),
  // The modern era and what a client can do.
  (
    #"{"id":4,"method":"tools/call","params":{"name":"t",\#(meta)}}}"#,
    Seen(.request, "tools/call", name: "t", id: "4", modern: true)
  ),
  (
    #"{"id":4,"method":"tools/call","params":{\#(meta),"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"url":{}}}},"name":"t"}}"#,
    Seen(.request, "tools/call", name: "t", id: "4", modern: true, capabilities: .urlElicitation)
  ),
  (
    #"{"id":4,"method":"ping","params":{"_m\u0065ta":{"io.modelcontextprotocol\/protocolVersion":"x"}}}"#,
    Seen(.request, "ping", id: "4", modern: true)
  ),
  (
    #"{"id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"form":{},"url":{}}}}}"#,
    Seen(.request, "initialize", id: "1", capabilities: [.formElicitation, .urlElicitation])
  ),
  (
    #"{"id":1,"method":"initialize","params":{"capabilities":{"elicitation":{}}}}"#,
    Seen(.request, "initialize", id: "1", capabilities: .formElicitation)
  ),
  (#"{"id":1,"method":"initialize","params":{"capabilities":{}}}"#, Seen(.request, "initialize", id: "1")),
  (
    #"{"id":1,"method":"initialize","params":{"capabilities":{"elicitation":{"url":true}}}}"#,
    Seen(.request, "initialize", id: "1")
  ),
  // Capabilities belong to `initialize`; elsewhere the member means something else.
  (
    #"{"id":1,"method":"tools/list","params":{"capabilities":{"elicitation":{"url":{}}}}}"#,
    Seen(.request, "tools/list", id: "1")
  ),
  // What is no message.
  ("", Seen(.invalid(.notJSON))), ("   ", Seen(.invalid(.notJSON))), ("{", Seen(.invalid(.notJSON))),
  ("hello", Seen(.invalid(.notJSON))), (#"{"id":1,"method":"ping"} x"#, Seen(.invalid(.notJSON))),
  (#"{"id":1,"method":"ping",}"#, Seen(.invalid(.notJSON))), ("[1,]", Seen(.invalid(.notJSON))),
  (#"{"id":1,"method":"ping"}{}"#, Seen(.invalid(.notJSON))), (#"{'id':1}"#, Seen(.invalid(.notJSON))),
  ("7", Seen(.invalid(.notAnObject))), (#""text""#, Seen(.invalid(.notAnObject))),
  ("null", Seen(.invalid(.notAnObject))),
  ("{}", Seen(.invalid(.unclear))), (#"{"id":1}"#, Seen(.invalid(.unclear))),
  (#"{"id":1,"method":"ping","result":{}}"#, Seen(.invalid(.unclear))),
  (#"{"id":1,"result":{},"error":{}}"#, Seen(.invalid(.unclear))),
  (#"{"id":1,"method":7}"#, Seen(.invalid(.badMethod))),
  (#"{"id":1,"method":null}"#, Seen(.invalid(.badMethod))),
  (#"{"id":[1],"method":"ping"}"#, Seen(.invalid(.badID))),
  (#"{"id":true,"method":"ping"}"#, Seen(.invalid(.badID))),
  (#"{"id":1,"method":"ping","method":"tools/call"}"#, Seen(.invalid(.repeatedMember))),
  (#"{"id":1,"method":"ping","m\u0065thod":"tools/call"}"#, Seen(.invalid(.repeatedMember))),
  (#"{"id":1,"id":2,"method":"ping"}"#, Seen(.invalid(.repeatedMember))),
  (#"{"id":1,"method":"tools/call","params":{"name":"a","name":"b"}}"#, Seen(.invalid(.repeatedMember))),
  (#"{"id":1,"method":"tools/call","params":{},"params":{"name":"b"}}"#, Seen(.invalid(.repeatedMember))),
  (#"{"id":1,"method":"ping","params":{"_meta":{},"_meta":{}}}"#, Seen(.invalid(.repeatedMember))),
]

@Suite struct `Messages` {
  @Test(arguments: messages)
  func `are seen as what they are`(text: String, expected: Seen) {
    #expect(Seen(scanning: text) == expected)
  }

  @Test func `deeper than the bound are refused, not followed`() {
    let deep = String(repeating: "[", count: 200) + String(repeating: "]", count: 200)
    #expect(Seen(scanning: deep).kind == .invalid(.notJSON))
    #expect(Seen(scanning: #"{"id":1,"method":"ping","params":{"a":\#(deep)}}"#).kind == .invalid(.notJSON))
    let open = String(repeating: #"{"params":"#, count: 100_000)
    #expect(Seen(scanning: open).kind == .invalid(.notJSON))
  }

  @Test func `cut short anywhere are not taken for whole ones`() {
    for (text, expected) in messages where expected.kind == .request || expected.kind == .response {
      let trimmed = Array(text.trimmingSpace.utf8)
      for end in 0..<trimmed.count {
        let buffer = Buffer(Array(trimmed[..<end]))
        #expect(MessageEnvelope.scan(buffer, 0..<end).kind == .invalid(.notJSON), "\(text) cut at \(end)")
      }
    }
  }

  @Test func `damaged at any byte never trap, and ranges stay inside`() {
    var random = Damage(seed: 7)
    for (text, _) in messages {
      for _ in 0..<200 {
        let bytes = random.damaged(Array(text.utf8))
        let buffer = Buffer(bytes)
        let seen = MessageEnvelope.scan(buffer, 0..<bytes.count)
        for range in [seen.method, seen.id, seen.params, seen.name, seen.metaVersion, seen.requestedVersion] {
          #expect(range.map { $0.lowerBound >= 0 && $0.upperBound <= bytes.count } ?? true)
        }
        _ = seen.idBytes(buffer)
        _ = seen.methodBytes(buffer)
        #expect(seen.nameBytes(buffer, limit: 8).count <= 8)
      }
    }
  }

  @Test func `that carry input of an earlier round are recognised`() {
    for (params, expected) in [
      (#"{"name":"t"}"#, false), (#"{"name":"t","requestState":"s"}"#, true),
      (#"{"name":"t","inputResponses":{}}"#, true),
    ] {
      let buffer = Buffer(#"{"id":1,"method":"tools/call","params":\#(params)}"#)
      #expect(MessageEnvelope.scan(buffer, 0..<buffer.count).isRetryWithInput == expected)
    }
  }

  @Test func `with an id that cannot be repeated are answered with null`() {
    let long = String(repeating: "x", count: MessageEnvelope.maxIDBytes)
    #expect(Seen(scanning: #"{"id":"\#(long)","method":"ping"}"#).id == "null")
    #expect(Seen(scanning: #"{"id":"\ud800","method":"ping"}"#).id == "null")
    let buffer = Buffer(Array(#"{"method":"ping","id":""#.utf8) + [0xFF] + Array(#""}"#.utf8))
    #expect(MessageEnvelope.scan(buffer, 0..<buffer.count).idBytes(buffer) == JSONRPC.nullID)
  }

  @Test func `name the version they open with`() {
    let buffer = Buffer(#"{"id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#)
    let seen = MessageEnvelope.scan(buffer, 0..<buffer.count)
    #expect(seen.requestedVersion.map { buffer.string($0) } == "2025-06-18")
    #expect(seen.knownMethod == .initialize && !seen.knownMethod.hasName)
  }
}

@Suite struct `Error answers` {
  @Test(arguments: [#"7"#, #""7""#, "null", "0", "1.0e0", #""a\u0000""#])
  func `repeat the id with its type`(id: String) throws {
    let body = JSONRPC.error(id: Array(id.utf8), code: 1001, message: "a \"b\"\n", data: ["reason": "x"])
    let value = try JSONValue.parse(body)
    #expect(try value["id"] == JSONValue.parse(id))
    #expect(value["jsonrpc"] == "2.0" && value["error"]?["code"] == 1001)
    #expect(value["error"]?["message"] == "a \"b\"\n" && value["error"]?["data"]?["reason"] == "x")
    #expect(!body.contains(0x0A), "fits one line of an event")
  }

  @Test func `without an id say null`() throws {
    #expect(try JSONValue.parse(JSONRPC.error(id: [], code: -32700, message: ""))["id"] == .null)
  }
}

extension String {
  var trimmingSpace: String { String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
}
