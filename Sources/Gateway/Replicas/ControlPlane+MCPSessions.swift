internal import Basics
internal import MCP
internal import Sessions

/// What the store knows of an MCP session.
enum MCPSessionLookup: Sendable {
  /// It is the asker's; what its client declared.
  case found(ClientCapabilities)
  /// There is none of this id, or it is somebody else's: nobody is told which.
  case unknown
  /// The store could not be asked: the session may well exist.
  case unavailable
}

// Who opened which MCP session, for all processes that share the store. A binding lives as long as the person's session may.
extension ControlPlane {
  private static let mcpSessionKind = RecordKind("mcp-session")
  /// MCP sessions of one person; those whose end is nearest go.
  private static let mcpSessionsPerUser = 1024
  /// Bindings that the store did not take yet.
  private static let maxUnstored = 1024

  /// Keeps a binding. When the store fails, it is known here alone until the store takes it.
  func keepMCPSession(_ key: Bytes32, of session: SessionSnapshot, _ capabilities: ClientCapabilities) async
    -> MCPSessionLookup
  {
    let record = SingleUseRecord(
      kind: Self.mcpSessionKind, key: TicketHash(digest: key), owner: session.user,
      payload: [1, capabilities.rawValue], expiresAt: session.createdAt + policy.absoluteTimeout,
      perOwner: Self.mcpSessionsPerUser)
    do {
      // The first owner stays.
      if try await !store.claim(record, now: clock()),
        case .foreign = try await store.peek(record.kind, record.key, owner: record.owner, now: clock())
      {
        return .unknown
      }
    } catch {
      noteFailure(error)
      if unstoredMCPSessions.count < Self.maxUnstored { unstoredMCPSessions[record.key] = record }
    }
    return .found(capabilities)
  }

  /// Tries once more what the store did not take.
  func storeMCPSessions() async {
    for (key, record) in unstoredMCPSessions {
      if record.expiresAt > clock() {
        do { _ = try await store.claim(record, now: clock()) } catch { return noteFailure(error) }
      }
      unstoredMCPSessions[key] = nil
    }
  }

  /// The binding of an id, for a person who shows it.
  func findMCPSession(_ key: Bytes32, of user: UserKey) async -> MCPSessionLookup {
    let found: RecordTake
    do {
      found = try await store.peek(
        Self.mcpSessionKind, TicketHash(digest: key), owner: user, now: clock())
    } catch {
      noteFailure(error)
      return .unavailable
    }
    // A newer program may have written more behind.
    guard case .taken(let payload) = found, payload.count >= 2, payload[0] == 1 else { return .unknown }
    return .found(ClientCapabilities(rawValue: payload[1]))
  }
}
