internal import Basics

/// Makes connections: resolves names off the loop, tries every address, finishes the TLS handshake.
///
/// Owner: one loop. Bounds: one deadline for the whole attempt; an address gets a fair share of what is left of it; a name is asked
/// for once however many wait; answers of the resolver are kept for `cacheLifetime`, unless none of the addresses worked.
public final class Connector {
  private struct Entry {
    var addresses: [SocketAddress]
    var until: MonotonicTime
  }

  private let loop: EventLoop
  private let blocking: BlockingPool
  private let resolve: @Sendable (String) -> Result<[SocketAddress], ConnectError>
  private var cache: [String: Entry] = [:]
  private var waiting: [String: [Attempt]] = [:]
  /// Long enough to spare the resolver under load, short enough for a service that moves.
  private static let cacheLifetime = Duration.seconds(30)
  private static let maxCached = 256

  /// - Parameter blocking: where names are resolved.
  public convenience init(loop: EventLoop, blocking: BlockingPool) {
    self.init(loop: loop, blocking: blocking, resolve: { Resolver.addresses(of: $0) })
  }

  /// - Parameter resolve: runs on `blocking`; the ports of its addresses do not matter.
  init(
    loop: EventLoop, blocking: BlockingPool,
    resolve: @escaping @Sendable (String) -> Result<[SocketAddress], ConnectError>
  ) {
    self.loop = loop
    self.blocking = blocking
    self.resolve = resolve
  }

  /// Begins to connect. On the loop.
  ///
  /// - Parameters:
  ///   - host: a name, or a literal address (IPv6 with or without brackets).
  ///   - tls: with it, the connection is handed over after a handshake that proved `host`.
  ///   - timeout: for resolving, connecting and the handshake together.
  ///   - completion: called once, on the loop, never before this returns; not at all when the attempt is cancelled before.
  @discardableResult
  public func connect(
    host: String, port: UInt16, tls: TLSClientContext?, timeout: Duration,
    completion: @escaping (Result<Stream, ConnectError>) -> Void
  ) -> Attempt {
    let attempt = Attempt(
      loop: loop, target: Attempt.Target(host: host, port: port, tls: tls), deadline: loop.now + timeout,
      worked: { [weak self] in self?.worked(host, $0) }, completion: completion)
    let bound = LoopBound((self, attempt), on: loop)
    loop.execute {
      let (me, attempt) = bound.value
      me.start(attempt, host)
    }
    return attempt
  }

  private func start(_ attempt: Attempt, _ host: String) {
    if let literal = SocketAddress(host: host, port: 0) { return attempt.begin([literal]) }
    if let cached = cache[host], cached.until > loop.now { return attempt.begin(cached.addresses) }
    attempt.awaitAddresses()
    if waiting[host] != nil {
      waiting[host]?.removeAll { $0.isOver }
      waiting[host]?.append(attempt)
      return
    }
    waiting[host] = [attempt]
    let me = LoopBound(self, on: loop)
    do {
      try blocking.submit { [resolve] in
        let found = resolve(host)
        me.loop.execute { me.value.resolved(host, found) }
      }
    } catch {
      resolved(host, .failure(ConnectError(.exhausted, "too much blocking work waits to resolve \(host)")))
    }
  }

  private func resolved(_ host: String, _ found: Result<[SocketAddress], ConnectError>) {
    if case .success(let addresses) = found {
      if cache.count >= Connector.maxCached { cache.removeAll() }
      cache[host] = Entry(addresses: addresses, until: loop.now + Connector.cacheLifetime)
    }
    for attempt in waiting.removeValue(forKey: host) ?? [] {
      switch found {
      case .success(let addresses): attempt.begin(addresses)
      case .failure(let error): attempt.fail(error)
      }
    }
  }

  /// What works is tried first the next time; when nothing does, the name is asked for anew.
  private func worked(_ host: String, _ address: SocketAddress?) {
    guard var entry = cache[host] else { return }
    guard let address else {
      cache[host] = nil
      return
    }
    guard let index = entry.addresses.firstIndex(where: { $0.bytes == address.bytes }), index > 0 else {
      return
    }
    entry.addresses.insert(entry.addresses.remove(at: index), at: 0)
    cache[host] = entry
  }
}
