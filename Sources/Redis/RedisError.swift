/// Why an answer of Redis could not be had, or is a refusal.
public enum RedisError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Not connected, timed out, lost, or the server says that it cannot serve now. What was asked for may or may not have been carried
  /// out. The text is for the log.
  case unavailable(String)
  /// The server's own words of refusal.
  case server(String)
  /// What came is not RESP, or not the answer that the command has. The connection is closed.
  case protocolViolation(String)

  public var description: String {
    switch self {
    case .unavailable(let cause): "Redis is not available: \(cause)"
    case .server(let text): "Redis refuses: \(text)"
    case .protocolViolation(let text): "Redis does not speak its protocol: \(text)"
    }
  }

  /// The texts of servers are cut to this many characters: they may repeat what was sent.
  static let maxTextLength = 200

  /// What the answer to a command means when the server cannot serve now; nil when it is an answer like any other.
  ///
  /// LOADING: it reads its data; READONLY, MASTERDOWN: it is a replica; NOREPLICAS, MISCONF: writes are refused until it can keep
  /// them; BUSY: a script has run too long; CLUSTERDOWN, TRYAGAIN: slots are without a node or on their way.
  static func unavailability(_ answer: RedisValue) -> RedisError? {
    guard case .error(let text) = answer, let code = answer.errorCode, transientCodes.contains(String(code))
    else { return nil }
    return .unavailable(String(text.prefix(maxTextLength)))
  }

  private static let transientCodes: Set<String> = [
    "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "MISCONF", "BUSY", "CLUSTERDOWN", "TRYAGAIN",
  ]
}
