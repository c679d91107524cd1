internal import Basics
internal import HTTP
internal import Reactor
internal import Synchronization
internal import Wire

/// How many event streams each user has open, over all loops.
///
/// Why shared: a user's connections spread over the loops. Touched when a stream begins and when it ends; a request looks only whether
/// anybody is at the limit at all. Bound: an entry for each user with an open stream.
final class UserStreams: Sendable {
  private let limit: Int
  private let counts = Locked<[Bytes32: Int]>([:])
  /// Users that have as many as one may.
  private let full = Atomic(0)

  init(limit: Int) { self.limit = limit }

  /// Whether any user may not open another one.
  var isFullForSomebody: Bool { full.load(ordering: .relaxed) > 0 }

  /// Whether this user may open another one.
  func mayOpen(_ user: Bytes32) -> Bool { counts.withLock { $0[user, default: 0] } < limit }

  /// Counts a stream. - Returns: whether it is within the limit; it is counted in any case.
  func opened(by user: Bytes32) -> Bool {
    let count = counts.withLock { counts in
      counts[user, default: 0] += 1
      return counts[user, default: 0]
    }
    if count == limit { full.add(1, ordering: .relaxed) }
    return count <= limit
  }

  /// A counted stream is over.
  func closed(by user: Bytes32) {
    let left = counts.withLock { counts in
      let left = counts[user, default: 1] - 1
      counts[user] = left > 0 ? left : nil
      return left
    }
    if left == limit - 1 { full.subtract(1, ordering: .relaxed) }
  }

  /// Users with an open stream.
  var userCount: Int { counts.withLock { $0.count } }
}

extension DataLoop {
  /// Whether the request is of no kind that may become a stream, or its user may have another one.
  func mayOpenStream(_ x: Exchange, _ call: Call, _ route: Route) -> Bool {
    guard call.streamOwner == nil, let user = call.session?.snapshot.userDigest,
      call.evidence.verb != .delete,
      let accept = x.request.first(.accept)?.value,
      x.requestBytes.find("text/event-stream", in: accept) != nil
    else { return true }
    return shared.streams.mayOpen(user)
  }

  /// An event stream begins. - Returns: whether its user may have it; without a user there is nobody to count.
  func openStream(_ x: Exchange, _ call: Call) -> Bool {
    guard call.streamOwner == nil, let session = call.session else { return true }
    let user = session.snapshot.userDigest
    call.streamOwner = user
    watchStream(x, call, session)
    return shared.streams.opened(by: user)
  }

  func closeStream(_ call: Call, of user: Bytes32) {
    call.streamOwner = nil
    watchedStreams[call.requestID] = nil
    shared.streams.closed(by: user)
  }
}
