import Consent

/// One way of a server to say that consent is needed, and what has to be understood.
struct Dialect: Sendable, CustomStringConvertible {
  var name: String
  var body: String
  var kind = ConsentNeed.Kind.consent
  var source: ConsentNeed.Source
  var scopes: [String] = ["mcp.files"]
  var target = ConsentNeed.Target.upstream
  var link: String?
  var claims: String?
  var acrValues: [String] = []
  var maxAge: Int?
  var code = "consent_required"

  var description: String { name }
}

private let sdkInfo =
  #"{"error":"consent_required","error_description":"scope mcp.files is needed","scope":"mcp.files","consent_url":"\#(providerLink)"}"#
private let claims = #"{"access_token":{"nbf":{"essential":true,"value":"1767225600"}}}"#
private let claimsBase64 =
  "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxNzY3MjI1NjAwIn19fQ=="
private let elicitation =
  #"{"mode":"url","message":"Grant mcp.files","url":"\#(providerLink)","elicitationId":"el-714c"}"#
private let foreign = "https://consent.example/login?data=x"

private func inputRequired(_ requests: String) -> String {
  #"{"jsonrpc":"2.0","id":1,"result":{"inputRequests":{\#(requests)},"requestState":"v1.yiP0","resultType":"input_required"}}"#
}

/// The shapes of the Python MCP SDK of the demo, byte for byte but for the ids.
let sdkDialects: [Dialect] = [
  Dialect(
    name: "jsonrpc", body: rpcError(-32001, "consent_required", data: sdkInfo), source: .rpcError,
    link: providerLink),
  Dialect(
    name: "istool",
    body: failed(
      text:
        "Error executing tool needs_scope: consent_required: scope mcp.files is missing; open \(providerLink)"
    ),
    source: .toolResult, link: providerLink),
  Dialect(
    name: "istool_structured", body: failed(text: sdkInfo, more: #","structuredContent":\#(sdkInfo)"#),
    source: .toolResult, link: providerLink),
  Dialect(
    name: "entra",
    body: failed(
      text:
        "Error executing tool needs_scope: AADSTS65001: The user or administrator has not consented to use the application with ID 'demo'. Send an interactive authorization request for this user and resource. "
        + #"{"error": "invalid_grant", "suberror": "consent_required", "error_codes": [65001], "scope": "mcp.files"}"#
    ),
    source: .toolResult),
  Dialect(
    name: "url_elicitation",
    body: rpcError(-32042, "URL elicitation required", data: #"{"elicitations":[\#(elicitation)]}"#),
    source: .elicitation, scopes: ["openid", "mcp.read", "mcp.files"], target: .downstream,
    link: providerLink,
    code: "-32042"),
  Dialect(
    name: "input_required",
    body: inputRequired(#""consent":{"method":"elicitation/create","params":\#(elicitation)}"#),
    source: .elicitation, scopes: ["openid", "mcp.read", "mcp.files"], target: .downstream,
    link: providerLink,
    code: "input_required"),
]

let otherDialects: [Dialect] = [
  Dialect(
    name: "a list of scopes",
    body: rpcError(
      1403, "consent needed", data: #"{"error":"consent_required","scopes":["mcp.files","mail.read"]}"#),
    source: .rpcError, scopes: ["mcp.files", "mail.read"]),
  Dialect(
    name: "capitals and another member",
    body: rpcError(1, "no", data: #"{"code":"CONSENT_REQUIRED","requiredScopes":["mcp.files"]}"#),
    source: .rpcError),
  Dialect(
    name: "an exception's name",
    body: rpcError(1, "no", data: #"{"reason":"ConsentRequired","scope":"mcp.files"}"#), source: .rpcError),
  Dialect(
    name: "the message alone", body: rpcError(-32000, "consent_required"), source: .rpcError, scopes: []),
  Dialect(
    name: "insufficient_scope in data",
    body: rpcError(
      -32003, "Forbidden", data: #"{"error":"insufficient_scope","scope":"mcp.read mcp.files"}"#),
    source: .rpcError, scopes: ["mcp.read", "mcp.files"], code: "insufficient_scope"),
  Dialect(
    name: "an error inside an error",
    body: failed(more: #","structuredContent":{"error":{"code":"consent_required","scopes":["mcp.files"]}}"#),
    source: .toolResult),
  Dialect(
    name: "a wrapped structured result",
    body: failed(more: #","structuredContent":{"result":{"error":"consent_required","scope":"mcp.files"}}"#),
    source: .toolResult),
  Dialect(
    name: "text after text",
    body:
      #"{"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[{"type":"image","data":""},{"type":"text","text":"sorry"},{"type":"text","text":"{\"error\":\"consent_required\",\"scope\":\"mcp.files\"}"}]}}"#,
    source: .toolResult),
  Dialect(
    name: "a proxy of our own behind us",
    body: rpcError(
      1002, "The server needs your consent.",
      data:
        #"{"reason":"consent_required","scopes":["mcp.files"],"interaction_url":"https://other.example/auth/continue?i=x"}"#
    ),
    source: .rpcError, link: "https://other.example/auth/continue?i=x"),
  Dialect(
    name: "a scope that is assigned", body: failed(text: "insufficient_scope: call needs scope=mcp.files."),
    source: .toolResult,
    code: "insufficient_scope"),
  Dialect(
    name: "a scope in quotes", body: failed(text: "consent_required: the scope 'mcp.files' was not granted"),
    source: .toolResult),
  Dialect(
    name: "a text of JSON behind words",
    body: failed(text: #"Request failed with 403: {"error":"consent_required","scope":"mcp.files"}"#),
    source: .toolResult),
  // Claims and step-up.
  Dialect(
    name: "claims as text",
    body: failed(more: #","structuredContent":{"error":"interaction_required","claims":\#(quoted(claims))}"#),
    kind: .claims, source: .toolResult, scopes: [], claims: claims, code: "interaction_required"),
  Dialect(
    name: "claims in base64",
    body: rpcError(1, "no", data: #"{"error":"insufficient_claims","claims":"\#(claimsBase64)"}"#),
    kind: .claims, source: .rpcError, scopes: [], claims: claims, code: "insufficient_claims"),
  Dialect(
    name: "claims as an object",
    body: rpcError(1, "no", data: #"{"error":"insufficient_claims","claims":\#(claims)}"#),
    kind: .claims, source: .rpcError, scopes: [], claims: claims, code: "insufficient_claims"),
  Dialect(
    name: "step-up",
    body: rpcError(
      1, "no", data: #"{"error":"insufficient_user_authentication","acr_values":"phr mfa","max_age":300}"#),
    kind: .stepUp, source: .rpcError, scopes: [], acrValues: ["phr", "mfa"], maxAge: 300,
    code: "insufficient_user_authentication"),
  Dialect(
    name: "interaction without claims", body: rpcError(1, "interaction_required"), kind: .stepUp,
    source: .rpcError,
    scopes: [], code: "interaction_required"),
  Dialect(
    name: "interaction with scopes",
    body: rpcError(1, "interaction_required", data: #"{"scopes":["mcp.files"]}"#),
    source: .rpcError, code: "interaction_required"),
  // Entra, from an upstream's own on-behalf-of call.
  Dialect(
    name: "Entra's text alone",
    body: failed(text: "AADSTS65001: The user or administrator has not consented to use the application."),
    source: .toolResult, scopes: [], target: .downstream, code: "AADSTS65001"),
  Dialect(
    name: "Entra asks for a second factor",
    body: failed(text: "MsalUiRequiredException: AADSTS50076: Due to a configuration change…"),
    kind: .stepUp, source: .toolResult, scopes: [], target: .downstream, code: "AADSTS50076"),
  Dialect(
    name: "Entra wants an administrator",
    body: rpcError(
      1, "no", data: #"{"error":"invalid_grant","suberror":"consent_required","error_codes":[90094]}"#),
    kind: .adminConsent, source: .rpcError, scopes: [], target: .downstream, code: "AADSTS90094"),
  Dialect(
    name: "Entra blocks the device",
    body: rpcError(1, "no", data: #"{"error":"interaction_required","error_codes":[53000]}"#),
    kind: .blocked, source: .rpcError, scopes: [], target: .downstream, code: "AADSTS53000"),
  Dialect(
    name: "a number in the description",
    body: rpcError(1, "no", data: #"{"error":"invalid_grant","error_description":"AADSTS65001: The user…"}"#),
    source: .rpcError, scopes: [], target: .downstream, code: "AADSTS65001"),
  // Foundry.
  Dialect(
    name: "Foundry's link", body: rpcError(-32006, foreign), source: .rpcError, scopes: [],
    target: .downstream,
    link: foreign, code: "-32006"),
  Dialect(
    name: "Foundry's tool sources",
    body: rpcError(
      -32006,
      #"tools/list failed for 1 tool source(s) {"errors":[{"name":"send_email","type":"mcp","error":{"code":"CONSENT_REQUIRED","message":"\#(foreign)"}}]}"#
    ),
    source: .rpcError, scopes: [], target: .downstream, link: foreign, code: "CONSENT_REQUIRED"),
  Dialect(
    name: "Foundry's output item",
    body: rpcError(1, "no", data: #"{"type":"oauth_consent_request","consent_link":"\#(foreign)"}"#),
    source: .rpcError, scopes: [], target: .downstream, link: foreign, code: "oauth_consent_request"),
  // Links that are not our provider's: nothing we could ask for.
  Dialect(
    name: "a stranger's elicitation",
    body: rpcError(
      -32042, "x",
      data:
        #"{"elicitations":[{"mode":"url","elicitationId":"e","message":"m","url":"https://github.example/authorize?scope=repo"}]}"#
    ),
    source: .elicitation, scopes: [], target: .downstream,
    link: "https://github.example/authorize?scope=repo", code: "-32042"),
  Dialect(
    name: "a hostile link",
    body: rpcError(
      -32042, "x",
      data:
        #"{"elicitations":[{"mode":"url","elicitationId":"e","message":"m","url":"javascript:alert(1)"}]}"#),
    source: .elicitation, scopes: [], target: .downstream, code: "-32042"),
  // Challenges inside a tool result.
  Dialect(
    name: "a challenge in _meta",
    body: failed(
      text: "no",
      more: #","_meta":{"mcp/www_authenticate":"Bearer error=\"insufficient_scope\", scope=\"mcp.files\""}"#),
    source: .toolResult, code: "insufficient_scope"),
  Dialect(
    name: "challenges in _meta",
    body: failed(
      text: "no",
      more:
        #","_meta":{"mcp/www_authenticate":["Bearer error=\"insufficient_scope\", error_description=\"x\", scope=\"mcp.files\""]}"#
    ),
    source: .toolResult, code: "insufficient_scope"),
]

/// Spellings that JSON allows and nobody uses.
let oddSpellings: [String] = [
  #"{"jsonrpc":"2.0","id":1,"result":{"isError":true,"c\u006fntent":[{"type":"text","text":"consent_required"}]}}"#,
  #"{"jsonrpc":"2.0","id":1,"error":{"c\u006fde":1,"message":"consent\u005frequired"}}"#,
  #"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"  consent_required \n"}}"#,
]

/// Answers that ask for nothing, whatever words they use.
let negatives: [(String, String)] = [
  (
    "a result",
    #"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"ok"}],"isError":false}}"#
  ),
  (
    "a result about consent",
    #"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"consent_required: scope x is missing"}],"isError":false}}"#
  ),
  (
    "a result without isError",
    #"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"{\"error\":\"consent_required\"}"}]}}"#
  ),
  (
    "a structured result about consent",
    #"{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"error":"consent_required","scope":"x"}}}"#
  ),
  (
    "isError that is not true",
    #"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"consent_required"}],"isError":"true"}}"#
  ),
  (
    "a challenge on a good result",
    #"{"jsonrpc":"2.0","id":1,"result":{"content":[],"_meta":{"mcp/www_authenticate":"Bearer error=\"insufficient_scope\""}}}"#
  ),
  ("a failed tool", failed(text: "Error executing tool x: file not found")),
  (
    "a failed tool that talks about consent",
    failed(text: "The user said that consent_required was in the log, and insufficient_scope too.")
  ),
  ("prose that begins with consent", failed(text: "Consent required: please read the manual")),
  (
    "a code at the end of a sentence",
    failed(text: "The remote API said: it failed because of consent_required")
  ),
  ("a code far inside", failed(text: "a: b: c: d: e: consent_required: x")),
  ("a code inside a longer word", failed(text: "no_consent_required_here: ok")),
  (
    "JSON that only mentions it",
    failed(text: #"{"error":"not_found","message":"consent_required","scope":"x"}"#)
  ),
  (
    "structured content of another kind",
    failed(more: #","structuredContent":{"error":"not_found","text":"consent_required"}"#)
  ),
  (
    "a code too deep",
    failed(more: #","structuredContent":{"data":{"data":{"data":{"error":"consent_required"}}}}"#)
  ),
  ("an empty failure", failed()),
  ("a rejected token as text", failed(text: "invalid_token: expired")),
  ("a bare invalid_grant", rpcError(1, "invalid_grant", data: #"{"error":"invalid_grant"}"#)),
  ("claims demanded, none given", rpcError(1, "no", data: #"{"error":"insufficient_claims"}"#)),
  (
    "an invalid token in _meta",
    failed(text: "no", more: #","_meta":{"mcp/www_authenticate":"Bearer error=\"invalid_token\""}"#)
  ),
  ("bad arguments", rpcError(-32602, "bad arguments")),
  ("no such method", rpcError(-32601, "no such method")),
  ("an error that talks about consent", rpcError(-32000, "The tool says consent_required in its text")),
  ("a dead session", rpcError(-32001, "Session not found")),
  (
    "Graph's forbidden",
    #"{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges"}}"#
  ),
  ("an OAuth error outside JSON-RPC", #"{"error":"consent_required","scope":"x"}"#),
  ("-32042 without links", rpcError(-32042, "x")),
  ("-32042 with an empty list", rpcError(-32042, "x", data: #"{"elicitations":[]}"#)),
  (
    "-32042 with a form",
    rpcError(
      -32042, "x",
      data: #"{"elicitations":[{"mode":"url","url":"https://a.example/"},{"mode":"form","message":"m"}]}"#)
  ),
  ("-32006 of somebody else", rpcError(-32006, "out of memory")),
  (
    "-32006 with another error among them",
    rpcError(
      -32006,
      #"x {"errors":[{"error":{"code":"CONSENT_REQUIRED","message":"https://a.example"}},{"error":{"code":"TIMEOUT"}}]}"#
    )
  ),
  (
    "input that is a form",
    inputRequired(#""a":{"method":"elicitation/create","params":{"mode":"form","message":"m"}}"#)
  ),
  (
    "input that is a form and a link",
    inputRequired(
      #""a":{"method":"elicitation/create","params":{"mode":"url","url":"https://a.example/"}},"b":{"method":"elicitation/create","params":{"message":"m"}}"#
    )
  ),
  (
    "input of another kind",
    inputRequired(
      #""a":{"method":"sampling/createMessage","params":{"mode":"url","url":"https://a.example/"}}"#)
  ),
  (
    "input without requests",
    #"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"s"}}"#
  ),
  (
    "a request of the server",
    #"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"error":"consent_required"},"error":{"code":1,"message":"consent_required"}}"#
  ),
  (
    "a notification",
    #"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":{"error":"consent_required","isError":true}}}"#
  ),
  (
    "result and error",
    #"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"consent_required"}}"#
  ),
  ("an id that is none", #"{"jsonrpc":"2.0","id":{},"error":{"code":1,"message":"consent_required"}}"#),
  ("no JSON-RPC", #"{"id":1,"error":{"code":1,"message":"consent_required"}}"#),
  ("a batch", #"[{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"consent_required"}}]"#),
  (
    "a repeated member",
    #"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"},"error":{"code":1,"message":"consent_required"}}"#
  ),
  ("text", "consent_required"), ("nothing", ""), ("HTML", "<html>\"error\" consent_required</html>"),
]
