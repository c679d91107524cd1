import JSON
import MCP
import Testing

private let url = "https://proxy.example/auth/continue?i=a&b=\"<x>"

@Suite struct `Requests to open a link` {
  @Test(arguments: [#"7"#, #""7""#, "null", "1.0e0", #""a\u0000""#])
  func `repeat the id with its type and fit one line`(id: String) throws {
    let id = Array(id.utf8)
    let bodies = [
      Elicitation.required(id: id, elicitationID: "c\n1", url: url, message: "a\nb", data: ["x": "\n"]),
      Elicitation.inputRequired(
        id: id, key: "k\n", url: url, message: "a\nb", requestState: "s\n", also: nil, meta: nil),
      Elicitation.toolResult(id: id, text: "a\nb", isModern: true, meta: ["x": "\n"]),
    ]
    for body in bodies {
      let value = try JSONValue.parse(body)
      #expect(value["jsonrpc"] == "2.0")
      #expect(try value["id"] == JSONValue.parse(id))
      #expect(!body.contains(0x0A) && !body.contains(0x0D))
    }
    #expect(!Elicitation.complete(elicitationID: "c\n1").contains(0x0A))
  }

  @Test func `are the error of 2025-11-25 with members for programs beside the list`() throws {
    let body = Elicitation.required(
      id: [], elicitationID: "c-81f", url: url, message: "Allow it",
      data: ["reason": "consent_required", "elicitations": [], "scopes": ["a"]])
    #expect(
      try JSONValue.parse(body) == [
        "jsonrpc": "2.0", "id": .null,
        "error": [
          "code": -32042, "message": "Allow it",
          "data": [
            "elicitations": [
              ["mode": "url", "elicitationId": "c-81f", "url": .string(url), "message": "Allow it"]
            ], "reason": "consent_required", "scopes": ["a"],
          ],
        ],
      ])
  }

  @Test func `are an input_required result of 2026-07-28`() throws {
    let body = Elicitation.inputRequired(
      id: Array("4".utf8), key: "ours", url: url, message: "Allow it", requestState: "cc1.x", also: nil,
      meta: nil)
    #expect(
      try JSONValue.parse(body) == [
        "jsonrpc": "2.0", "id": 4,
        "result": [
          "resultType": "input_required", "requestState": "cc1.x",
          "inputRequests": [
            "ours": [
              "method": "elicitation/create",
              "params": ["mode": "url", "url": .string(url), "message": "Allow it"],
            ]
          ],
        ],
      ])
  }

  @Test func `are asked along with those of the upstream, which cannot take our key`() throws {
    let also: JSONObject = ["theirs": ["method": "elicitation/create"], "ours": ["method": "roots/list"]]
    let body = Elicitation.inputRequired(
      id: Array("4".utf8), key: "ours", url: url, message: "m", requestState: "s", also: also,
      meta: ["a/b": 1])
    let result = try JSONValue.parse(body)["result"]
    #expect(result?["inputRequests"]?.object?.keys == ["ours", "theirs"])
    #expect(result?["inputRequests"]?["ours"]?["params"]?["url"] == .string(url))
    #expect(result?["inputRequests"]?["theirs"] == ["method": "elicitation/create"])
    #expect(result?["_meta"] == ["a/b": 1])
  }

  @Test func `are a failed tool result for everyone else`() throws {
    let content: JSONValue = [["type": "text", "text": "Open https://x"]]
    let legacy = Elicitation.toolResult(
      id: Array("4".utf8), text: "Open https://x", isModern: false, meta: ["a/b": 1])
    #expect(
      try JSONValue.parse(legacy)["result"] == ["content": content, "isError": true, "_meta": ["a/b": 1]])
    let modern = Elicitation.toolResult(
      id: Array("4".utf8), text: "Open https://x", isModern: true, meta: [:])
    #expect(
      try JSONValue.parse(modern)["result"]
        == ["resultType": "complete", "content": content, "isError": true])
  }

  @Test func `end with a notification`() throws {
    #expect(
      try JSONValue.parse(Elicitation.complete(elicitationID: "c-81f")) == [
        "jsonrpc": "2.0", "method": "notifications/elicitation/complete",
        "params": ["elicitationId": "c-81f"],
      ])
  }
}
