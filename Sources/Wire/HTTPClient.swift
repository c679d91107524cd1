internal import Basics
public import HTTP
public import Reactor

/// Bounds of a client.
public struct HTTPClientSettings: Sendable {
  /// How TLS is spoken with `https` origins.
  public var tls: TLSClientContext
  /// Longest time for a connection.
  public var connectTimeout: Duration = .seconds(5)
  /// Longest time for a whole exchange, the connection included.
  public var timeout: Duration = .seconds(15)
  /// How long an unused connection is kept.
  public var idleTimeout: Duration = .seconds(4)
  /// Requests under way, over all origins. Further ones wait their turn, for as long as ``timeout`` says: after an outage every
  /// session may want a token at once, and a provider that comes back must not be met by all of them.
  public var maxCalls: Int = 128
  /// Requests that wait for their turn. Further ones fail at once.
  public var maxWaiting: Int = 16_384
  /// Connections kept alive, over all origins.
  public var maxIdle: Int = 16
  /// Longest response body, before and after its content coding is undone.
  public var maxResponseBytes: Int = 1024 * 1024
  /// Limits of a response's head.
  public var headLimits = HeadLimits()

  /// All defaults but the TLS context.
  public init(tls: TLSClientContext) { self.tls = tls }
}

/// The proxy's own client, for providers: whole requests and responses in memory, on one loop. TLS certificates are
/// verified, redirects are never followed, content coding is undone, and a request is sent a second time only when it
/// is a GET, HEAD or OPTIONS that a kept-alive connection lost before any byte of the response.
public final class HTTPClient: HTTPTransport {
  private let state: LoopBound<HTTPClientState>
  private let loop: EventLoop

  /// A client whose work happens on `loop`; it may be used from anywhere.
  public init(loop: EventLoop, settings: HTTPClientSettings, connector: Connector) {
    self.loop = loop
    state = LoopBound(HTTPClientState(loop: loop, settings: settings, connector: connector), on: loop)
  }

  /// Sends `request` and waits for the whole response. Cancelling the task closes the connection.
  public func send(_ request: FetchRequest) async throws(TransportError) -> FetchResponse {
    let ticket = CallTicket()
    let (state, loop) = (state, loop)
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        loop.execute { state.value.start(request, ticket) { continuation.resume(returning: $0) } }
      }
    } onCancel: {
      loop.execute { state.value.cancel(ticket) }
    }
    return try result.get()
  }

  /// Closes the connections kept alive.
  public func closeIdle() {
    let state = state
    loop.execute { state.value.closeIdle() }
  }
}

/// Names one call across threads.
final class CallTicket: Sendable {}
