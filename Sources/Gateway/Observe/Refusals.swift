/// Why something was turned away because a bound was reached. The set is fixed, so no client can make it grow.
enum RefusalReason: Int, CaseIterable, Sendable {
  /// A request head against the grammar, too large, or not complete in time.
  case malformedHead, largeHead, slowHead
  case largeBody, slowBody
  /// A client that did not take its answer.
  case slowReader
  /// A connection beyond `limits.connections_per_address`.
  case connectionsPerAddress
  /// A connection that could not be served for want of descriptors, or a request for which none was left.
  case descriptors
  /// A request body beyond `limits.memory`.
  case memory
  case streamsPerUser
  case signInsPerAddress
  /// A request that got no connection to its upstream: the waiting line was full, or it took too long.
  case upstreamQueue

  /// The value of the metric's label.
  var label: String {
    switch self {
    case .malformedHead: "malformed_head"
    case .largeHead: "large_head"
    case .slowHead: "slow_head"
    case .largeBody: "large_body"
    case .slowBody: "slow_body"
    case .slowReader: "slow_reader"
    case .connectionsPerAddress: "connections_per_address"
    case .descriptors: "descriptors"
    case .memory: "memory"
    case .streamsPerUser: "streams_per_user"
    case .signInsPerAddress: "sign_ins_per_address"
    case .upstreamQueue: "upstream_queue"
    }
  }
}

/// How often each bound turned something away.
struct Refusals: Sendable, Equatable {
  private var counts = [UInt64](repeating: 0, count: RefusalReason.allCases.count)

  subscript(reason: RefusalReason) -> UInt64 { counts[reason.rawValue] }

  mutating func count(_ reason: RefusalReason, _ times: UInt64 = 1) { counts[reason.rawValue] &+= times }

  /// A request that never became one, by the status it was answered with.
  mutating func countHead(status: Int) {
    switch status {
    case 408: count(.slowHead)
    case 414, 431: count(.largeHead)
    default: count(.malformedHead)
    }
  }

  mutating func count(_ denial: Denial) {
    switch denial {
    case .bodyTooLarge: count(.largeBody)
    case .malformedRequest(408): count(.slowBody)
    case .outOfResources(let reason): count(reason)
    case .tooManyStreams: count(.streamsPerUser)
    case .tooManyAttempts: count(.signInsPerAddress)
    case .upstreamOverloaded: count(.upstreamQueue)
    default: break
    }
  }

  mutating func add(_ other: Refusals) {
    for reason in RefusalReason.allCases { count(reason, other[reason]) }
  }
}
