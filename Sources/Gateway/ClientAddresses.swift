internal import Basics
internal import HTTP
internal import Reactor
internal import Wire

/// How many connections each client has open, over all loops.
///
/// Touched when a connection begins and when it ends. Bound: an entry for each client with an open connection.
final class ClientAddresses: Sendable {
  private let limit: Int
  private let counts = Locked<[ClientNetwork: Int]>([:])

  init(limit: Int) { self.limit = limit }

  /// Counts a connection, if there may be another one from there.
  func admits(_ client: ClientNetwork) -> Bool {
    counts.withLock { counts in
      let count = counts[client, default: 0]
      guard count < limit else { return false }
      counts[client] = count + 1
      return true
    }
  }

  /// A counted connection is closed.
  func left(_ client: ClientNetwork) {
    counts.withLock { counts in
      let left = counts[client, default: 1] - 1
      counts[client] = left > 0 ? left : nil
    }
  }

  /// Clients with an open connection.
  var count: Int { counts.withLock { $0.count } }
}

/// Whose address a connection shows.
enum PeerKind {
  /// A client's own.
  case client
  /// That of a proxy in front, which says whom it speaks for.
  case trustedProxy
  /// This machine's, without TLS: something in front that is not known by name.
  case local

  init(_ peer: SocketAddress, isTLS: Bool, trusted: [CIDRBlock]) {
    if trusted.contains(where: { $0.contains(peer) }) {
      self = .trustedProxy
    } else {
      self = !isTLS && peer.isLoopback ? .local : .client
    }
  }
}

extension DataLoop {
  /// Whom to count a request for; nil where the client's address is not known.
  func client(of x: Exchange) -> ClientNetwork? {
    switch PeerKind(x.peer, isTLS: x.isTLS, trusted: shared.trustedProxies) {
    case .client: return ClientNetwork(x.peer)
    case .local: return nil
    case .trustedProxy:
      let trusted = shared.trustedProxies
      let lines = x.withRequest { head, bytes, _ in
        head.fields.filter { $0.id == .xForwardedFor }.map { bytes.string($0.value) }
      }
      return ClientAddresses.farthest(in: lines, trusted: trusted).map(ClientNetwork.init)
    }
  }
}

extension ClientAddresses {
  /// The last address of `X-Forwarded-For` that no trusted proxy has: what stands before it anybody may have written. The first one
  /// when all are trusted.
  ///
  /// - Returns: nil where there is none, or what stands there is no address.
  static func farthest(in lines: [String], trusted: [CIDRBlock]) -> SocketAddress? {
    var last: SocketAddress?
    for element in lines.joined(separator: ",").split(separator: ",").reversed() {
      let text = String(
        element.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
      // Some proxies write the port as well.
      guard let address = SocketAddress(host: text, port: 0) ?? SocketAddress(text: text) else { return nil }
      last = address
      if !trusted.contains(where: { $0.contains(address) }) { break }
    }
    return last
  }
}
