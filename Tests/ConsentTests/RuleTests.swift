import Basics
import Consent
import Testing

@Suite struct `A rule` {
  private func need(_ rules: ConsentRule..., in body: String, status: Int = 200) -> ConsentNeed? {
    let buffer = Buffer(body)
    return ConsentWatch(rules: rules).finding(inBody: buffer, 0..<buffer.count, status: status)?.need
  }

  @Test func `is tried at each of its places, and the first rule that fits counts`() {
    let body = rpcError(7, "x", data: #"{"a":{"b":"two"},"c":3}"#)
    let one = ConsentRule(code: ["/error/data/none", "/error/data/a/b"], values: ["one", "two"])
    let other = ConsentRule(code: ["/error/data/c"], values: ["3"], unexecuted: true)
    #expect(need(one, other, in: body)?.code == "two")
    #expect(need(other, one, in: body)?.code == "3")
    #expect(need(one, other, in: body)?.isUnexecuted == false)
    #expect(need(other, one, in: body)?.isUnexecuted == true)
    #expect(need(one, in: body)?.isRepairable == true)
  }

  @Test(arguments: ["3", "3.0", "30", #""3""#, "true", "null", "[3]"])
  func `compares numbers by their text`(value: String) {
    let rule = ConsentRule(code: ["/error/data/c"], values: ["3"])
    let need = need(rule, in: rpcError(7, "x", data: #"{"c":\#(value)}"#))
    #expect((need != nil) == ["3", #""3""#].contains(value))
  }

  @Test func `sees good results, and any text of theirs that is an object`() {
    let rule = ConsentRule(code: ["/result/structuredContent/state", "/state"], values: ["link_account"])
    for result in [
      #"{"structuredContent":{"state":"link_account"}}"#,
      #"{"content":[{"type":"text","text":"hello"},{"type":"text","text":" {\"state\":\"link_account\"}\n"}],"isError":false}"#,
    ] {
      let found = need(rule, in: #"{"jsonrpc":"2.0","id":1,"result":\#(result)}"#)
      #expect(found?.source == .toolResult && found?.isUnexecuted == false)
    }
    for result in [
      #"{"content":[{"type":"text","text":"it says {\"state\":\"link_account\"}"}]}"#,
      #"{"content":[{"type":"resource","text":"{\"state\":\"link_account\"}"}]}"#,
      #"{"content":[{"type":"text","text":"[{\"state\":\"link_account\"}]"}]}"#,
      #"{"content":[{"type":"text","text":"{\"x\":{\"state\":\"link_account\"}}"}]}"#,
    ] { #expect(need(rule, in: #"{"jsonrpc":"2.0","id":1,"result":\#(result)}"#) == nil) }
  }

  @Test func `reads what it names in the part that has the code, then in the whole`() {
    let rule = ConsentRule(
      code: ["/state"], values: ["x"], scopes: "/scopes", link: "/result/structuredContent/go")
    let body =
      #"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"{\"state\":\"x\",\"scopes\":\"a,b c\"}"}],"structuredContent":{"go":"https://a.example/"}}}"#
    #expect(need(rule, in: body)?.scopes == ["a", "b", "c"])
    #expect(need(rule, in: body)?.link == "https://a.example/")
  }

  @Test func `comes before what is understood anyway, but opens no door that is shut`() {
    let rule = ConsentRule(code: ["/error/code"], values: ["-32042", "5"], target: .downstream)
    let elicitation = rpcError(
      -32042, "x", data: #"{"elicitations":[{"mode":"url","url":"https://a.example/"}]}"#)
    #expect(need(rule, in: elicitation)?.source == .rpcError)
    let admin = rpcError(5, "x", data: #"{"error":"invalid_grant","error_codes":[90094]}"#)
    #expect(need(rule, in: admin)?.kind == .adminConsent)
    let claims = rpcError(5, "x", data: #"{"claims":"{\"access_token\":{}}"}"#)
    #expect(need(rule, in: claims)?.kind == .claims)
  }

  @Test func `sees bodies that are no JSON-RPC behind a refusal only`() {
    let rule = ConsentRule(code: ["/fault"], values: ["link"])
    for status in [400, 401, 403, 424, 428, 500] {
      let found = need(rule, in: #"{"fault":"link"}"#, status: status)
      #expect(found?.source == .body && found?.isUnexecuted == [401, 403].contains(status))
    }
    #expect(need(rule, in: #"{"fault":"link"}"#) == nil)
  }

  @Test func `changes nothing for other answers, requests and notifications`() {
    let rule = ConsentRule(
      code: ["/method", "/params/x", "", "no pointer"], values: ["x", "tools/call", ""])
    for body in [
      #"{"jsonrpc":"2.0","id":1,"method":"x","params":{"x":"x"}}"#,
      #"{"jsonrpc":"2.0","id":1,"result":{"x":"x"}}"#,
      #"[{"x":"x"}]"#, "x", "",
    ] { #expect(need(rule, in: body) == nil) }
    let empty = ConsentRule(code: [], values: [])
    #expect(need(empty, in: rpcError(1, "consent_required"))?.code == "consent_required")
    let buffer = Buffer("event: message\ndata: \(rpcError(1, "x", data: #"{"a":"far"}"#))\n\n")
    let far = ConsentWatch(rules: [ConsentRule(code: ["/error/data/a"], values: ["far"])])
    #expect(far.finding(inEvent: buffer, 0..<buffer.count)?.id == Array("1".utf8))
  }
}
