/// How the end of a message body is known (RFC 9112 §6.3).
public enum BodyFraming: Sendable, Equatable {
  /// There is no body.
  case none
  /// Exactly that many bytes. A message may say zero.
  case length(UInt64)
  /// `Transfer-Encoding: chunked`.
  case chunked
  /// Everything until the connection closes. Responses only.
  case untilClose
}

/// Request methods (RFC 9110 §9). Case-sensitive.
public enum Method: UInt8, Sendable, CaseIterable {
  case get, head, post, put, delete, options, patch, trace, connect
  /// A method the proxy does not know; its bytes are ``RequestHead/methodRange``.
  case other

  /// Whether sending it twice is as good as once (RFC 9110 §9.2.2).
  public var isIdempotent: Bool {
    switch self {
    case .get, .head, .put, .delete, .options, .trace: true
    case .post, .patch, .connect, .other: false
    }
  }

  /// Whether it only reads (RFC 9110 §9.2.1).
  public var isSafe: Bool {
    switch self {
    case .get, .head, .options, .trace: true
    case .post, .put, .delete, .patch, .connect, .other: false
    }
  }

  /// The method as written; empty for ``other``.
  public var name: StaticString {
    switch self {
    case .get: "GET"
    case .head: "HEAD"
    case .post: "POST"
    case .put: "PUT"
    case .delete: "DELETE"
    case .options: "OPTIONS"
    case .patch: "PATCH"
    case .trace: "TRACE"
    case .connect: "CONNECT"
    case .other: ""
    }
  }
}
