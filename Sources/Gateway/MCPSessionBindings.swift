internal import Basics
internal import Crypto
internal import MCP
internal import Reactor

/// What is known of MCP sessions (`Mcp-Session-Id`, revisions up to 2025-11-25): who opened one, what its client can do, and where
/// its stream is.
///
/// A session id is no credential, and somebody else's is answered with 404 (MCP security best practices, session hijacking). Ids pass
/// through unchanged; the binding is kept beside them. Owner: shared by the data loops, because the client's next connection may land on
/// another one. Bound: `capacity` bindings, oldest out first. An id that is not here (after a restart too) is answered with 404, which
/// tells the client to start a new session; where several processes share a store, that is asked first
/// (`Sources/Gateway/Replicas/ControlPlane+MCPSessions.swift`).
final class MCPSessionBindings: Sendable {
  /// One session.
  struct Binding: Sendable {
    var owner: Bytes32
    /// What the client declared in `initialize`.
    var capabilities: ClientCapabilities
    /// The exchange that relays the session's own stream (GET), by its request id.
    var stream: UInt64?
  }

  private struct Table {
    var bindings: [Bytes32: Binding] = [:]
    var order: [Bytes32] = []
    var next = 0
  }

  private let table = Locked(Table())
  private let capacity: Int

  init(capacity: Int = 100_000) { self.capacity = capacity }

  /// The key under which a session id of a route is kept: a hash, so the table holds no usable id.
  static func key(route: Route, id: [UInt8]) -> Bytes32? {
    var hash = SHA256()
    hash.update(data: route.mcpSessionPlace)
    hash.update(data: id)
    return Bytes32(Array(hash.finalize()))
  }

  /// The owner's digest, if the binding is in memory.
  func owner(of key: Bytes32) -> Bytes32? { table.withLock { $0.bindings[key]?.owner } }

  /// What the session's client declared; nothing for an unknown one.
  func capabilities(of key: Bytes32) -> ClientCapabilities {
    table.withLock { $0.bindings[key]?.capabilities ?? [] }
  }

  func bind(_ key: Bytes32, to owner: Bytes32, capabilities: ClientCapabilities) {
    table.withLock { table in
      // The first owner stays: an id that an upstream gives out twice must not change hands.
      if table.bindings[key] != nil { return }
      table.bindings[key] = Binding(owner: owner, capabilities: capabilities)
      if table.order.count < capacity {
        table.order.append(key)
      } else {
        table.bindings[table.order[table.next]] = nil
        table.order[table.next] = key
        table.next = (table.next + 1) % capacity
      }
    }
  }

  /// The session's own stream was opened; of two the newer one counts.
  func opened(stream: UInt64, of key: Bytes32) { table.withLock { $0.bindings[key]?.stream = stream } }

  /// A stream is over.
  func closed(stream: UInt64, of key: Bytes32) {
    table.withLock { table in
      if table.bindings[key]?.stream == stream { table.bindings[key]?.stream = nil }
    }
  }

  /// The stream of a session that is told of something.
  func stream(of key: Bytes32) -> UInt64? { table.withLock { $0.bindings[key]?.stream } }
}
