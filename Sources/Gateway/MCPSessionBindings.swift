internal import Basics
internal import Crypto
internal import Reactor

/// Who opened which MCP session (`Mcp-Session-Id`, revisions up to 2025-11-25): a session id is no credential, and somebody
/// else's is answered with 404 (MCP security best practices, session hijacking).
///
/// Ids pass through unchanged; the binding is kept beside them. Owner: shared by the data loops, because the client's next
/// connection may land on another one. Bound: `capacity` bindings, oldest out first. An id that is not here (after a restart too) is
/// answered with 404, which tells the client to start a new session.
final class MCPSessionBindings: Sendable {
  private struct Table {
    var owners: [Bytes32: Bytes32] = [:]
    var order: [Bytes32] = []
    var next = 0
  }

  private let table = Locked(Table())
  private let capacity: Int

  init(capacity: Int = 100_000) { self.capacity = capacity }

  /// The key under which a session id of a route is kept: a hash, so the table holds no usable id.
  static func key(route: Int, id: [UInt8]) -> Bytes32? {
    var hash = SHA256()
    hash.update(data: Array("mcp-session|\(route)|".utf8))
    hash.update(data: id)
    return Bytes32(Array(hash.finalize()))
  }

  /// The owner's digest, if the binding is in memory.
  func owner(of key: Bytes32) -> Bytes32? { table.withLock { $0.owners[key] } }

  func bind(_ key: Bytes32, to owner: Bytes32) {
    table.withLock { table in
      // The first owner stays: an id that an upstream gives out twice must not change hands.
      if table.owners[key] != nil { return }
      table.owners[key] = owner
      if table.order.count < capacity {
        table.order.append(key)
      } else {
        table.owners[table.order[table.next]] = nil
        table.order[table.next] = key
        table.next = (table.next + 1) % capacity
      }
    }
  }
}
