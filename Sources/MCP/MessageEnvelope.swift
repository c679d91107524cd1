public import Basics

/// What a proxy must know of a JSON-RPC message: where its parts stand, nothing decoded, nothing allocated.
///
/// Ranges count from the first readable byte of the buffer that was scanned and are valid while nothing is
/// consumed. Ranges of strings leave the quotes out; escapes stand as they were sent.
public struct MessageEnvelope: Sendable, Equatable {
  /// What kind of message it is.
  public enum Kind: Sendable, Equatable {
    case request, notification, response
    /// An array of messages (2025-03-26 only). Its messages are not looked at.
    case batch
    /// No message, or one that two parsers could read in two ways.
    case invalid(Defect)
  }

  /// Why a text is not a message.
  public enum Defect: Error, Sendable, Equatable {
    /// Not JSON, or nested deeper than ``MessageEnvelope/maxDepth``.
    case notJSON
    /// JSON, but neither an object nor an array.
    case notAnObject
    /// A member that is looked at occurs twice.
    case repeatedMember
    /// `method` is not a string.
    case badMethod
    /// `id` is neither a string nor a number nor null.
    case badID
    /// Neither a method nor a result or error, or both.
    case unclear

    /// The JSON-RPC code for it.
    public var code: Int { self == .notJSON ? JSONRPC.parseError : JSONRPC.invalidRequest }

    /// One sentence for people.
    public var explanation: String {
      switch self {
      case .notJSON: "The body is not valid JSON."
      case .notAnObject: "The body is not a JSON-RPC message."
      case .repeatedMember: "A member of the message occurs twice."
      case .badMethod: "The method of the message is not a string."
      case .badID: "The id of the message is neither a string nor a number."
      case .unclear: "The message is neither a request nor a response."
      }
    }
  }

  /// Methods with rules of their own.
  public enum Method: Sendable, Equatable {
    case initialize, toolsCall, promptsGet, resourcesRead, other

    /// Whether the request's header `Mcp-Name` must repeat a name of the body, and whether consent may be
    /// asked for by an `input_required` result (MCP 2026-07-28: both hold for the same three methods).
    public var hasName: Bool { self == .toolsCall || self == .promptsGet || self == .resourcesRead }
  }

  /// What kind of message it is.
  public internal(set) var kind = Kind.invalid(.notJSON)
  /// `method`.
  @PackedRange public internal(set) var method: Range<Int>? = nil
  /// Whether the method has escapes.
  public internal(set) var methodHasEscapes = false
  /// Which method it is.
  public internal(set) var knownMethod = Method.other
  /// `id` as JSON text, quotes of a string included.
  @PackedRange public internal(set) var id: Range<Int>? = nil
  /// `params`, when it is an object.
  @PackedRange public internal(set) var params: Range<Int>? = nil
  /// What is called: `params.name` of `tools/call` and `prompts/get`, `params.uri` of `resources/read`.
  @PackedRange public internal(set) var name: Range<Int>? = nil
  /// Whether the name has escapes.
  public internal(set) var nameHasEscapes = false
  /// `params._meta["io.modelcontextprotocol/protocolVersion"]`; its presence makes the message modern.
  @PackedRange public internal(set) var metaVersion: Range<Int>? = nil
  /// `params.protocolVersion` of `initialize`.
  @PackedRange public internal(set) var requestedVersion: Range<Int>? = nil
  /// From `_meta`, or from `initialize`.
  public internal(set) var capabilities: ClientCapabilities = []
  /// `params.requestState` as JSON text of any type; see ``RetryInput``.
  @PackedRange public internal(set) var requestState: Range<Int>? = nil
  /// `params.inputResponses` as JSON text of any type.
  @PackedRange public internal(set) var inputResponses: Range<Int>? = nil

  /// Nested deeper than this, a message is refused.
  public static let maxDepth = 64

  /// Longest id that is repeated in an answer, in bytes. SDKs count or use UUIDs.
  public static let maxIDBytes = 1024

  /// The era of the message by its body alone (MCP 2026-07-28, versioning: a dual-era server decides by
  /// `_meta`).
  public var era: ProtocolEra { metaVersion == nil ? .legacy : .modern }

  /// Whether the message is answered by one with its id.
  public var expectsAnswer: Bool { kind == .request }

  /// Whether `params` has `inputResponses` or `requestState`: a retry after an `input_required` result.
  public var isRetryWithInput: Bool { requestState != nil || inputResponses != nil }

  /// The id as JSON text, to be repeated in an answer; `null` when there is none, or none that could be
  /// repeated.
  public func idBytes(_ buffer: borrowing Buffer) -> [UInt8] {
    guard let id, id.count <= Self.maxIDBytes, JSONText.isRepeatable(buffer, id) else {
      return JSONRPC.nullID
    }
    return buffer.array(id)
  }

  /// The method as it is meant, without escapes. Empty when there is none, or when it is none that could be known. Allocates.
  public func methodBytes(_ buffer: borrowing Buffer) -> [UInt8] {
    guard let method, method.count <= Self.maxIDBytes else { return [] }
    guard methodHasEscapes else { return buffer.array(method) }
    return Array((JSONText.decode(buffer, method) ?? "").utf8)
  }

  /// The name as it is meant, without escapes: at most `limit` bytes of it. Empty when there is none. Allocates.
  public func nameBytes(_ buffer: borrowing Buffer, limit: Int) -> [UInt8] {
    guard let name else { return [] }
    guard nameHasEscapes else { return buffer.array(name.prefix(limit)) }
    guard name.count <= limit * 6 else { return [] }
    return Array((JSONText.decode(buffer, name) ?? "").utf8.prefix(limit))
  }
}
