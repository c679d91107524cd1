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
    }
  }

  /// As the client reports it.
  var transportKind: TransportError.Kind {
    switch kind {
    case .resolve: .dns
    case .connect: .connect
    case .tls: .tls
    case .timeout: .timeout
    }
  }
}
