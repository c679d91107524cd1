internal import Basics

/// A request of the proxy itself, to a provider: cold path, whole in memory.
public struct FetchRequest: Sendable {
  /// The method's text.
  public var method: String
  /// Where to.
  public var url: URLReference
  /// Field lines in order, without `Host`, framing and connection fields: the transport sets those.
  public var fields: [(name: String, value: String)]
  /// The whole body.
  public var body: [UInt8]

  /// A request.
  public init(
    method: String = "GET", url: URLReference, fields: [(name: String, value: String)] = [],
    body: [UInt8] = []
  ) {
    self.method = method
    self.url = url
    self.fields = fields
    self.body = body
  }
}

/// A whole response to a ``FetchRequest``, content coding removed.
public struct FetchResponse: Sendable {
  /// The status code.
  public var status: Int
  /// Field lines in order, as received.
  public var fields: [(name: String, value: String)]
  /// The whole body.
  public var body: [UInt8]

  /// A response.
  public init(status: Int, fields: [(name: String, value: String)] = [], body: [UInt8] = []) {
    self.status = status
    self.fields = fields
    self.body = body
  }

  /// The first value of the field `name`; names compare without case.
  public func first(_ name: String) -> String? {
    fields.first { ASCII.equalsIgnoringCase($0.name, name) }?.value
  }

  /// All values of the field `name` in order.
  public func all(_ name: String) -> [String] {
    fields.filter { ASCII.equalsIgnoringCase($0.name, name) }.map(\.value)
  }
}

/// Why a ``FetchRequest`` has no response.
public struct TransportError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What failed.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// The name did not resolve.
    case dns
    /// No address accepted a connection.
    case connect
    /// The TLS handshake failed or the certificate does not match.
    case tls
    /// A deadline passed.
    case timeout
    /// The response is longer than allowed.
    case tooLarge
    /// The response is not valid HTTP.
    case protocolError
    /// The connection closed before the response was complete.
    case closed
    /// The caller gave up.
    case cancelled
  }

  /// What failed.
  public let kind: Kind
  /// More for the log; never holds credentials.
  public let detail: String

  /// An error.
  public init(_ kind: Kind, _ detail: String = "") {
    self.kind = kind
    self.detail = detail
  }

  /// Whether the same request may well succeed later.
  public var isTransient: Bool {
    switch kind {
    case .dns, .connect, .timeout, .closed: true
    case .tls, .tooLarge, .protocolError, .cancelled: false
    }
  }

  public var description: String { detail.isEmpty ? kind.rawValue : "\(kind.rawValue): \(detail)" }
}

/// Whatever can send a ``FetchRequest``: the HTTP client in production, a script in tests. Never follows redirects.
public protocol HTTPTransport: Sendable {
  /// Sends `request` and waits for the whole response.
  func send(_ request: FetchRequest) async throws(TransportError) -> FetchResponse
}
