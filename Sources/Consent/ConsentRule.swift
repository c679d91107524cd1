/// An upstream's own way to say that consent is needed, as the operator describes it.
///
/// Pointers (RFC 6901) lead through the whole JSON-RPC response, as `/error/data/code` or
/// `/result/structuredContent/error/code`; through each text of a tool result that is itself a JSON object, as
/// `/error/code`; and, behind a status that refuses, through a body that is no JSON-RPC. A successful tool result
/// is read as well: servers that have forms of their own seldom set `isError`.
public struct ConsentRule: Sendable, Hashable {
  /// Where the code may stand, tried in order.
  public var code: [String]
  /// The code has to equal one of these. Numbers are compared by their text.
  public var values: [String]
  /// Where the scopes stand: a text separated by spaces or commas, or an array of texts. Without it, or when it
  /// leads nowhere, the scopes count that are found anyway.
  public var scopes: String?
  /// Where the link stands.
  public var link: String?
  /// Where claims stand: a JSON object, its text, or base64 of it.
  public var claims: String?
  /// Whether the answer proves that the call did not run.
  public var unexecuted: Bool
  /// Whose grant is missing.
  public var target: ConsentNeed.Target

  /// A rule.
  public init(
    code: [String], values: [String], scopes: String? = nil, link: String? = nil, claims: String? = nil,
    unexecuted: Bool = false, target: ConsentNeed.Target = .upstream
  ) {
    self.code = code
    self.values = values
    self.scopes = scopes
    self.link = link
    self.claims = claims
    self.unexecuted = unexecuted
    self.target = target
  }
}
