internal import Reactor

/// A request to one of the proxy's own endpoints, as a value that can cross from a data loop to the control loop.
struct OwnRequest: Sendable {
  var method: String
  /// The path, without query, as it was sent (own paths hold no escapes).
  var path: String
  /// Decoded query parameters in order; the first of a name counts.
  var query: [(name: String, value: String)]
  /// Every cookie sent, in order.
  var cookies: [(name: String, value: String)]
  /// The body, at most `OwnEndpoints.maxBodyBytes`.
  var body: [UInt8]
  var evidence: CallerEvidence
  /// Who is counted for this request; nil where the client's address is not known.
  var client: ClientNetwork?
  var requestID: String

  /// The first query parameter of that name.
  func parameter(_ name: String) -> String? { query.first { $0.name == name }?.value }

  func cookie(_ name: String) -> String? { cookies.first { $0.name == name }?.value }
}

/// A complete answer made by the proxy itself.
struct OwnResponse: Sendable {
  var status: Int
  /// Field lines to add; framing, `Date` and `Connection` are not among them.
  var fields: [(name: String, value: String)] = []
  var body: [UInt8] = []

  /// A redirect that always becomes a GET (RFC 9110 §15.4.4), and that nobody stores.
  static func seeOther(_ location: String) -> OwnResponse {
    OwnResponse(status: 303, fields: [("Location", location)] + SecurityFields.noStore)
  }

  /// A page of ours.
  ///
  /// - Parameter formTargets: origins that a form on the page may end at after redirects, besides this one.
  static func page(_ status: Int, _ html: String, formTargets: [String] = []) -> OwnResponse {
    OwnResponse(
      status: status,
      fields: [("Content-Type", "text/html; charset=utf-8")] + SecurityFields.page(formTargets: formTargets),
      body: Array(html.utf8))
  }

  static func json(_ status: Int, _ text: String) -> OwnResponse { json(status, bytes: Array(text.utf8)) }

  static func json(_ status: Int, bytes: [UInt8]) -> OwnResponse {
    OwnResponse(
      status: status, fields: [("Content-Type", "application/json")] + SecurityFields.api, body: bytes)
  }

  /// Says after how many seconds it may be tried again, where that is known.
  func retrying(after seconds: Int?) -> OwnResponse {
    seconds.map { adding("Retry-After", String($0)) } ?? self
  }

  /// Adds a field, for chaining.
  func adding(_ name: String, _ value: String) -> OwnResponse {
    var copy = self
    copy.fields.append((name, value))
    return copy
  }
}
