import Basics
import JSON
import MCP
import TestSupport
import Testing

/// `text` scanned as it stands between other bytes of a buffer, then rewritten.
private func rewritten(_ text: String, _ state: String?, _ responses: JSONObject?) -> String? {
  let buffer = Buffer("{}" + text + "[")
  let range = 2..<buffer.count - 1
  let message = MessageEnvelope.scan(buffer, range)
  return RetryInput.rewrite(buffer, range, message, requestState: state, inputResponses: responses)
    .map { String(decoding: $0, as: UTF8.self) }
}

private func call(_ params: String) -> String {
  #" {"id": 1.0e0,"params":\#(params) , "method":"tools\/call"}"#
}

private func input(_ text: String) -> RetryInput? {
  let buffer = Buffer(text)
  return RetryInput.read(buffer, MessageEnvelope.scan(buffer, 0..<buffer.count))
}

/// `params` before, and after both members were removed.
private let removals: [(String, String)] = [
  (#"{"requestState":"s","name":"t","a":1.50}"#, #"{"name":"t","a":1.50}"#),
  (#"{"name":"t","requestState":"s","a":1.50}"#, #"{"name":"t","a":1.50}"#),
  (#"{"name":"t","a":1.50,"requestState":"s"}"#, #"{"name":"t","a":1.50}"#),
  (#"{"requestState":"s"}"#, "{}"), (#"{ "requestState" : "s" }"#, "{  }"),
  (#"{"requestState":"s","inputResponses":{"k":{"a":[1]}}}"#, "{}"),
  (#"{"requestState":"s","inputResponses":{},"name":"t"}"#, #"{"name":"t"}"#),
  (#"{"requestState":"s","name":"t","inputResponses":{}}"#, #"{"name":"t"}"#),
  (#"{"name":"t","inputResponses":{},"requestState":"s"}"#, #"{"name":"t"}"#),
  (#"{"a":1,"inputResponses":{},"b":2,"requestState":"s","c":3}"#, #"{"a":1,"b":2,"c":3}"#),
  (#"{ "a" : 1 , "requestState" : "s"  ,  "b":2 }"#, #"{ "a" : 1  ,  "b":2 }"#),
  (#"{ "a" : 1 , "b":2  ,  "requestState" : "s" }"#, #"{ "a" : 1 , "b":2 }"#),
  // Escapes in the key and in the value.
  (#"{"a":1,"request\u0053tate":"\"}, \\","input\u0052esponses":{"}":"{"}}"#, #"{"a":1}"#),
  // The same names deeper down are arguments of the tool.
  (
    #"{"arguments":{"requestState":"x","inputResponses":{}},"requestState":"s","_meta":{"requestState":1}}"#,
    #"{"arguments":{"requestState":"x","inputResponses":{}},"_meta":{"requestState":1}}"#
  ),
  (#"{"grüße":"日本 😀","requestState":"ü😀","b":"\ud83d\ude00é"}"#, #"{"grüße":"日本 😀","b":"\ud83d\ude00é"}"#),
  // Of another type than the protocol's, they are still not the upstream's.
  (#"{"requestState":null,"inputResponses":[1,{}],"a":1}"#, #"{"a":1}"#),
  // Nothing to do.
  ("{}", "{}"), ("{ }", "{ }"), (#"{ "a" : -0.0e+1 }"#, #"{ "a" : -0.0e+1 }"#),
]

@Suite struct `Input of an earlier round` {
  @Test(arguments: removals)
  func `is taken out of a message that stays the same byte for byte`(before: String, after: String) {
    #expect(rewritten(call(before), nil, nil) == call(after))
  }

  @Test(arguments: [
    (
      #"{"requestState":"ours" ,"name":"t"}"#,
      #"{"requestState":"up\"<" ,"name":"t","inputResponses":{"k":1}}"#
    ),
    (
      #"{"name":"t","inputResponses" : {"a":{}}, "requestState" : "ours"}"#,
      #"{"name":"t","inputResponses" : {"k":1}, "requestState" : "up\"<"}"#
    ),
    (#"{"inputResponses":null}"#, #"{"inputResponses":{"k":1},"requestState":"up\"<"}"#),
    (#"{"request\u0053tate":1,"a":2 }"#, #"{"request\u0053tate":"up\"<","a":2,"inputResponses":{"k":1} }"#),
    (#"{ "a" : 2 }"#, #"{ "a" : 2,"requestState":"up\"<","inputResponses":{"k":1} }"#),
    ("{}", #"{"requestState":"up\"<","inputResponses":{"k":1}}"#),
    ("{ }", #"{"requestState":"up\"<","inputResponses":{"k":1} }"#),
  ])
  func `is replaced where it stands, or added at the end`(before: String, after: String) {
    let written = after.replacingOnce("<", with: "\\u003c")
    #expect(rewritten(call(before), "up\"<", ["k": 1]) == call(written))
  }

  @Test func `is replaced and removed in one go`() {
    let before = #"{"requestState":"s","inputResponses":{"a":1},"name":"t"}"#
    #expect(rewritten(call(before), nil, ["b": 2]) == call(#"{"inputResponses":{"b":2},"name":"t"}"#))
    #expect(rewritten(call(before), "u", nil) == call(#"{"requestState":"u","name":"t"}"#))
    #expect(
      rewritten(call(#"{"inputResponses":{},"a":1}"#), "u", nil) == call(#"{"a":1,"requestState":"u"}"#))
  }

  @Test func `cannot be put where there are no parameters`() {
    for body in [#"{"id":1,"method":"tools/call"}"#, #"{"id":1,"method":"tools/call","params":[1]}"#] {
      #expect(rewritten(body, nil, nil) == body)
      #expect(rewritten(body, "s", nil) == nil)
      #expect(rewritten(body, nil, [:]) == nil)
    }
  }

  @Test func `is not put into a message that was not scanned there`() {
    let body = call(#"{"name":"t","requestState":"s"}"#)
    let buffer = Buffer(body)
    let message = MessageEnvelope.scan(buffer, 0..<buffer.count)
    for range in [0..<10, 30..<buffer.count, 0..<buffer.count + 1] {
      #expect(RetryInput.rewrite(buffer, range, message, requestState: nil, inputResponses: nil) == nil)
    }
    let other = Buffer(String(repeating: "{\"", count: body.utf8.count))
    let range = 0..<buffer.count
    #expect(RetryInput.rewrite(other, range, message, requestState: nil, inputResponses: nil) == nil)
  }

  @Test(arguments: ["requestState", "inputResponses", #"input\u0052esponses"#])
  func `that occurs twice is refused`(key: String) {
    let first = key.hasPrefix("input") ? "inputResponses" : key
    let buffer = Buffer(call(#"{"\#(first)":{},"a":1,"\#(key)":{}}"#))
    #expect(MessageEnvelope.scan(buffer, 0..<buffer.count).kind == .invalid(.repeatedMember))
  }

  @Test func `is read with its escapes resolved`() {
    let both = input(call(#"{"requestState":"a\u00e9\"","inputResponses":{"k":{"action":"accept"}}}"#))
    #expect(both == RetryInput(requestState: "aé\"", inputResponses: ["k": ["action": "accept"]]))
    #expect(both?.isComplete == true)
    #expect(input(call(#"{"requestState":""}"#)) == RetryInput(requestState: ""))
    #expect(input(call(#"{"inputResponses":{}}"#)) == RetryInput(inputResponses: [:]))
    #expect(input(call(#"{"inputResponses":{},"requestState":null}"#)) == RetryInput(inputResponses: [:]))
    #expect(input(call(#"{"inputResponses":null,"requestState":null}"#)) == nil)
    #expect(input(call(#"{"name":"t","arguments":{"requestState":"x"}}"#)) == nil)
    #expect(input(#"{"id":1,"method":"tools/call"}"#) == nil)
  }

  @Test(arguments: [
    #""requestState":7"#, #""requestState":"\ud800""#, #""inputResponses":[]"#,
    #""inputResponses":{"a":1,"a":2}"#, #""inputResponses":"x""#,
    #""requestState":"\#(String(repeating: "x", count: RetryInput.maxStateBytes))""#,
    #""inputResponses":{"a":"\#(String(repeating: "x", count: RetryInput.maxResponseBytes))"}"#,
  ])
  func `that cannot be read is known to be there`(member: String) {
    let seen = input(call("{\(member)}"))
    #expect(seen?.isComplete == false)
    #expect(seen?.requestState == nil && seen?.inputResponses == nil)
  }

  @Test func `in damaged messages never traps, and what comes out is a message again`() {
    var random = Damage(seed: 11)
    for (params, _) in removals {
      for _ in 0..<200 {
        let bytes = random.damaged(call(params))
        let buffer = Buffer(bytes)
        let message = MessageEnvelope.scan(buffer, 0..<bytes.count)
        _ = RetryInput.read(buffer, message)
        for (state, responses) in [(nil, nil), ("s", ["k": 1])] as [(String?, JSONObject?)] {
          let out = RetryInput.rewrite(
            buffer, 0..<bytes.count, message, requestState: state, inputResponses: responses)
          guard message.kind == .request, message.params != nil, let out else { continue }
          let again = Buffer(out)
          let seen = MessageEnvelope.scan(again, 0..<out.count)
          #expect(seen.kind == .request && seen.knownMethod == message.knownMethod)
          #expect((seen.requestState == nil) == (state == nil))
          #expect(seen.requestState.map { again.string($0) } ?? "\"s\"" == "\"s\"")
        }
      }
    }
  }
}

extension String {
  /// Without Foundation.
  fileprivate func replacingOnce(_ text: Character, with other: String) -> String {
    guard let place = firstIndex(of: text) else { return self }
    return String(self[..<place]) + other + String(self[index(after: place)...])
  }
}
