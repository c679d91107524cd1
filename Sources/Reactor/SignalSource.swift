@unsafe @preconcurrency internal import Dispatch

/// Signals as events: a Dispatch source a signal, the default action switched off.
///
/// Owner: shared. Lives as long as the signal shall be heard; the default action stays off after it.
public final class SignalSource: Sendable {
  /// The signals a server cares for.
  public enum Signal: Sendable, CaseIterable { case terminate, interrupt, hangUp, user1, user2 }

  private let source: any DispatchSourceSignal

  /// - Parameter handler: called on a queue of its own, once for one or several signals that came together.
  public init(_ kind: Signal, handler: @escaping @Sendable () -> Void) {
    source = DispatchSource.makeSignalSource(
      signal: Syscalls.ignore(kind), queue: DispatchQueue(label: "coatcheck.signal.\(kind)"))
    source.setEventHandler(handler: handler)
    source.resume()
  }

  deinit { source.cancel() }

  /// Lets a signal that means nothing pass without effect: by default each of these ends the process at once.
  public static func ignore(_ kind: Signal) { _ = Syscalls.ignore(kind) }
}
