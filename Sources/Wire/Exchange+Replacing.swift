internal import Basics
internal import HTTP

// A handler that gives a request another content than the client sent.
extension Exchange {
  /// Puts `body` in the place of the request body, which must be held completely: ``withBody(_:)`` shows it from now on, and it is
  /// what goes upstream, with its length.
  ///
  /// - Returns: whether it was replaced. False once the request is on its way, or where its body is not held.
  public func replaceBody(_ body: [UInt8]) -> Bool {
    guard isHandlersTurn, canReplay else { return false }
    takeOffInput()
    collected.removeAll()
    collected.append(body)
    return true
  }

  /// Makes the exchange that of another request: ``request``, ``requestBytes`` and the body are those from now on. For a request
  /// that was kept and is carried out for a client that asks for its answer.
  ///
  /// - Parameter head: request line and fields, the empty line included.
  /// - Returns: whether it was replaced. False for a head that is none, and as ``replaceBody(_:)``.
  public func replaceRequest(head: [UInt8], body: [UInt8]) -> Bool {
    guard isHandlersTurn, canReplay, let connection, let limits = connection.server?.limits.head,
      asked.minorVersion >= 1
    else { return false }
    let bytes = Buffer(head)
    var parsed = RequestHead()
    guard (try? parsed.parse(bytes, limits: limits)) == true, parsed.byteCount == bytes.count else {
      return false
    }
    takeOffInput()
    // What the client wished of its connection still counts.
    if !asked.isKeepAlive { connection.mustClose = true }
    asked = RequestFacts(parsed)
    request = parsed
    requestBytes.removeAll()
    requestBytes.append(head)
    collected.removeAll()
    collected.append(body)
    return true
  }

  private var isHandlersTurn: Bool {
    switch phase {
    case .deciding, .localStream: !isDecidingPlan
    default: false
    }
  }

  /// What the client sent behind this request waits elsewhere from now on.
  private func takeOffInput() {
    guard let inPlace = bodyInPlace, let connection else { return }
    connection.rest.append(from: requestBytes, inPlace.upperBound..<requestBytes.count)
    requestBytes.truncate(to: inPlace.lowerBound)
    bodyInPlace = nil
    connection.input = .complete
  }
}
