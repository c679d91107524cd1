import Basics
import Consent

let provider = "http://127.0.0.1:4593"
let providerLink =
  "http://127.0.0.1:4593/api/oidc/auth?prompt=consent&scope=openid%20mcp.read%20mcp.files&client_id=demo-proxy"
let watch = ConsentWatch(providerOrigins: ["http://127.0.0.1:4593/api/oidc", "https://login.example/"])

extension ConsentWatch {
  /// Judges `text` as it stands between other bytes of a buffer.
  func finding(body text: String) -> ConsentFinding? {
    let buffer = Buffer("x" + text + "y")
    return finding(inBody: buffer, 1..<buffer.count - 1)
  }

  /// Judges `text`, a whole event, as it stands between other bytes of a buffer.
  func finding(event text: String) -> ConsentFinding? {
    let buffer = Buffer("x" + text + "y")
    return finding(inEvent: buffer, 1..<buffer.count - 1)
  }
}

/// A tool result that failed, as the Python SDK writes it.
func failed(text: String? = nil, more: String = "", id: String = "1") -> String {
  let contents = text.map { #"{"text":\#(quoted($0)),"type":"text"}"# } ?? ""
  return #"{"jsonrpc":"2.0","id":\#(id),"result":{"content":[\#(contents)],"isError":true\#(more)}}"#
}

/// A JSON-RPC error.
func rpcError(_ code: Int, _ message: String, data: String? = nil, id: String = "1") -> String {
  let data = data.map { #","data":\#($0)"# } ?? ""
  return #"{"jsonrpc":"2.0","id":\#(id),"error":{"code":\#(code),"message":\#(quoted(message))\#(data)}}"#
}

func quoted(_ text: String) -> String {
  var out = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": out += "\\\""
    case "\\": out += "\\\\"
    case "\n": out += "\\n"
    case "\u{0}"..<" ":
      out += "\\u00\(scalar.value < 16 ? "0" : "")\(String(scalar.value, radix: 16))"
    default: out.unicodeScalars.append(scalar)
    }
  }
  return out + "\""
}
