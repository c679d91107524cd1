internal import Basics
internal import Consent
internal import Reactor

/// How often a person was sent to consent for the same thing in vain, known to all loops.
///
/// Owner: shared. A refusal is judged on a data loop, a completed consent is noted on the control loop.
final class ConsentRounds: Sendable {
  private let rounds: Locked<LoopGuard>

  init(maxRounds: Int) { rounds = Locked(LoopGuard(maxRounds: maxRounds)) }

  func verdict(user: Bytes32, route: Route, tool: String?, scopes: [String]) -> LoopGuard.Verdict {
    let key = key(user, route, tool, scopes)
    return rounds.withLock { $0.verdict(key, now: Timestamp.now()) }
  }

  /// A new sign-in begins anew.
  func forget(user: Bytes32) { rounds.withLock { $0.forget(user: Base64URL.encode(user.bytes)) } }

  func completed(user: Bytes32, route: Route, tool: String?, scopes: [String], at now: Timestamp) {
    let key = key(user, route, tool, scopes)
    rounds.withLock { $0.completed(key, now: now) }
  }

  private func key(_ user: Bytes32, _ route: Route, _ tool: String?, _ scopes: [String]) -> LoopGuard.Key {
    LoopGuard.Key(user: Base64URL.encode(user.bytes), route: route.path, name: tool, scopes: scopes)
  }
}
