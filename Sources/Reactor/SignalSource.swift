@unsafe @preconcurrency internal import Dispatch
internal import Glibc

/// Signals as events: a Dispatch source a signal, the default action switched off.
public final class SignalSource: Sendable {
  /// The signals a server cares for.
  public enum Signal: Sendable, CaseIterable {
    case terminate, interrupt, hangUp

    var number: Int32 {
      switch self {
      case .terminate: SIGTERM
      case .interrupt: SIGINT
      case .hangUp: SIGHUP
      }
    }
  }

  private let source: any DispatchSourceSignal

  /// - Parameter handler: called on a queue of its own, once a signal.
  public init(_ kind: Signal, handler: @escaping @Sendable () -> Void) {
    _ = signal(kind.number, SIG_IGN)
    source = DispatchSource.makeSignalSource(
      signal: kind.number, queue: DispatchQueue(label: "coatcheck.signal.\(kind)"))
    source.setEventHandler(handler: handler)
    source.resume()
  }

  deinit { source.cancel() }
}
