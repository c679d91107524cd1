import Basics
import MCP
import TestSupport
import Testing

private func canonical(_ text: String) -> [UInt8] {
  let buffer = Buffer("{}" + text + "[")
  let range = 2..<buffer.count - 1
  return CallDigest.canonical(buffer, range, MessageEnvelope.scan(buffer, range))
}

private let first = canonical(
  #"{"id":1,"method":"tools/call","params":{"name":"t","arguments":{"a": 1},"_meta":{"progressToken":1}}}"#)

@Suite struct `A call` {
  @Test(arguments: [
    #"{"id":"2","method":"tools/call","params":{"name":"t","arguments":{"a": 1},"requestState":"s"}}"#,
    #"{"id":2,"method":"tools/call","params":{"inputResponses":{"k":1},"arguments":{"a": 1},"name":"t"}}"#,
    #"{ "params" : { "_meta":{}, "arguments" : {"a": 1} , "name" : "t" } , "method":"tools/call", "id":9 }"#,
    #"{"method":"tools/call","params":{"name":"t","request\u0053tate":"s","arguments":{"a": 1}},"id":1}"#,
  ])
  func `is the same when it is repeated`(text: String) { #expect(canonical(text) == first) }

  @Test func `without parameters is the same when its retry has some only for the state`() {
    let bare = canonical(#"{"id":1,"method":"tools/call"}"#)
    #expect(canonical(#"{"id":1,"method":"tools/call","params":{}}"#) == bare)
    #expect(canonical(#"{"id":2,"method":"tools/call","params":{"requestState":"s"}}"#) == bare)
    #expect(canonical(#"{"id":1,"method":"tools/call","params":[1]}"#) != bare)
  }

  @Test func `is another one with another method, name, argument or member`() {
    let calls = [
      #"{"method":"tools/call","params":{"name":"u","arguments":{"a": 1}}}"#,
      #"{"method":"prompts/get","params":{"name":"t","arguments":{"a": 1}}}"#,
      #"{"method":"tools/call","params":{"name":"t","arguments":{"a": 2}}}"#,
      #"{"method":"tools/call","params":{"name":"t","arguments":{"a": 1,"requestState":"s"}}}"#,
      #"{"method":"tools/call","params":{"name":"t","arguments":{"a": 1},"task":{}}}"#,
      #"{"method":"tools/call","params":{"name":"t"}}"#, #"{"method":"tools/call","params":{}}"#,
      #"{"method":"tools/call","params":["name","t"]}"#, #"{"method":"tools/call","params":[]}"#,
      // Where one part ends and the next begins counts as well.
      #"{"method":"tools/call","params":{"n":"ame","at":""}}"#,
      #"{"method":"tools/call","params":{"n":"amea","t":""}}"#,
      #"{"method":"tools/call","params":{"a":1,"a":2}}"#, #"{"method":"tools/call","params":{"a":2,"a":1}}"#,
    ]
    #expect(Set(calls.map(canonical) + [first]).count == calls.count + 1)
  }

  @Test func `of a damaged message never traps`() {
    var random = Damage(seed: 5)
    for _ in 0..<2000 {
      let bytes = random.damaged(#"{"id":1,"method":"tools/call","params":{"name":"t","_meta":{},"a":[1]}}"#)
      let buffer = Buffer(bytes)
      let range = 0..<bytes.count
      _ = CallDigest.canonical(buffer, range, MessageEnvelope.scan(buffer, range))
    }
  }
}
