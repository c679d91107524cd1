internal import HTTP
internal import Reactor

extension ConnectError {
  /// As a pool reports it.
  var upstreamKind: UpstreamFailure.Kind {
    switch kind {
    case .resolve: .resolve
    case .connect: .connect
    case .tls: .tls
    case .timeout: .timeoutConnect
    case .exhausted: .exhausted
    }
  }

  /// As the client reports it.
  var transportKind: TransportError.Kind {
    switch kind {
    case .resolve: .dns
    case .connect, .exhausted: .connect
    case .tls: .tls
    case .timeout: .timeout
    }
  }
}
