import Basics
import COpenSSL
import Testing

@testable import Reactor

/// Both ends of a TLS connection over a socket pair, not yet shaken hands.
func tlsPair(
  _ loop: EventLoop, _ server: TLSServerContext, _ client: TLSClientContext, host: String
) throws -> (server: End, client: End) {
  let (a, b) = socketPair()
  let serverSession = try #require(TLSSession(server: server, descriptor: a))
  let clientSession = try #require(TLSSession(client: client, descriptor: b, host: host))
  return (
    End(Stream(loop: loop, descriptor: a, peer: nowhere, tls: serverSession)),
    End(Stream(loop: loop, descriptor: b, peer: nowhere, tls: clientSession))
  )
}

/// Shakes hands on both ends in turns.
func shakeHands(_ a: End, _ b: End) async -> (Stream.HandshakeOutcome, Stream.HandshakeOutcome) {
  var (first, second) = (Stream.HandshakeOutcome.wouldBlock, Stream.HandshakeOutcome.wouldBlock)
  while first == .wouldBlock || second == .wouldBlock {
    if first == .wouldBlock { first = a.stream.handshake() }
    if second == .wouldBlock { second = b.stream.handshake() }
    // An end that failed says nothing more; the other hears of it by its end.
    if case .failed = first { a.stream.close() }
    if case .failed = second { b.stream.close() }
    // A stream looks at its socket again when it hears of it.
    await Task.yield()
  }
  return (first, second)
}

func serving(
  _ names: String..., minimum: TLSServerContext.Version = .tls12
) throws -> TLSServerContext {
  try TLSServerContext(identities: names.map { Certificates.identity($0) }, minimum: minimum)
}

func trusting(_ authority: String = "ca") throws -> TLSClientContext {
  try TLSClientContext(caFile: Certificates.file(authority + ".pem"))
}

/// A server that wants a certificate of `ca`.
func demanding() throws -> TLSServerContext {
  let server = try serving("upstream")
  unsafe SSL_CTX_load_verify_locations(
    server.certificates.all[0].context.pointer, Certificates.file("ca.pem"), nil)
  unsafe SSL_CTX_set_verify(
    server.certificates.all[0].context.pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
  return server
}
