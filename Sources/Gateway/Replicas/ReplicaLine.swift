internal import Basics
internal import JSON
internal import Reactor
internal import Sessions

/// The way to the other processes at the same store, and from them.
///
/// Messages are sealed with the ring that seals what is stored, since whoever can write to the store's server must not be able to
/// answer for people. Each has its sender's number and time, so that one which is played again is refused. They may be lost: what matters
/// is in the store as well, and everything that waits for one has an end of its own.
///
/// Owner: shared. Bounds: `maxBytes` a message, `maxUnderWay` that the store has not taken yet (more are lost), `maxSenders` whose
/// numbers are remembered.
final class ReplicaLine: Sendable {
  /// What became of bytes that came.
  enum Heard: Sendable, Hashable {
    case message(ReplicaMessage)
    /// Of a newer program, about something that this one knows nothing of.
    case unknownKind
    /// Not sealed by one of us, damaged, too old, or played again.
    case refused
  }

  private struct State {
    var sent: UInt64 = 0
    var underWay = 0
    var windows: [Bytes32: (window: ReplayWindow, heardAt: Timestamp)] = [:]
  }

  /// The longest message, sealed, in bytes.
  static let maxBytes = 16 << 10
  private static let maxUnderWay = 256
  private static let maxSenders = 256
  /// How far clocks may be apart, and how long a message may take.
  private static let tolerance = Duration.seconds(300)
  private static let place = SealPlace(table: "message", row: [], field: "replica")

  /// Whether there may be others. False: nothing is sent.
  let isOn: Bool
  private let store: any SessionStore
  private let sealer: Sealer
  private let clock: WallClock
  /// Names this process, until it ends.
  private let sender: Bytes32
  private let state = Locked(State())

  init(store: any SessionStore, sealer: Sealer, clock: @escaping WallClock) {
    isOn = store.isShared
    self.store = store
    self.sealer = sealer
    self.clock = clock
    sender = Ticket.make().hash.digest
  }

  /// Tells the others.
  ///
  /// - Returns: whether the store took it.
  func tell(_ message: ReplicaMessage) async -> Bool {
    guard isOn, begin() else { return false }
    defer { state.withLock { $0.underWay -= 1 } }
    let bytes = sealed(message)
    guard bytes.count <= Self.maxBytes else { return false }
    do {
      try await store.publish(bytes)
      return true
    } catch {
      return false
    }
  }

  private func begin() -> Bool {
    state.withLock { state in
      guard state.underWay < Self.maxUnderWay else { return false }
      state.underWay += 1
      return true
    }
  }

  /// The form in which it goes.
  func sealed(_ message: ReplicaMessage) -> [UInt8] {
    let number = state.withLock { state in
      state.sent &+= 1
      return state.sent
    }
    var members = message.members
    members["kind"] = .string(message.kind)
    members["from"] = .bytes(sender)
    members["number"] = .number(JSONNumber(number))
    members["sent_at"] = .time(clock())
    return sealer.seal(JSONValue.object(members).serializedBytes(), for: Self.place)
  }

  /// Opens what came.
  func open(_ bytes: [UInt8]) -> Heard {
    guard bytes.count <= Self.maxBytes, let plain = try? sealer.open(bytes, for: Self.place),
      let value = try? JSONValue.parse(plain, limits: JSONLimits(depth: 4, bytes: Self.maxBytes)),
      let kind = value["kind"]?.string, let from = value["from"]?.string.flatMap(Base64URL.decode),
      let sender = Bytes32(from), let number = value["number"]?.int64.flatMap({ UInt64(exactly: $0) }),
      let sentAt = value["sent_at"]?.int64
    else { return .refused }
    guard isNew(from: sender, number, sentAt: Timestamp(milliseconds: sentAt)) else { return .refused }
    guard ReplicaMessage.isKnown(kind: kind) else { return .unknownKind }
    return ReplicaMessage(kind: kind, members: value).map { .message($0) } ?? .refused
  }

  private func isNew(from sender: Bytes32, _ number: UInt64, sentAt: Timestamp) -> Bool {
    let now = clock()
    guard sender != self.sender, sentAt > now - Self.tolerance, sentAt < now + Self.tolerance else {
      return false
    }
    return state.withLock { state in
      if state.windows[sender] == nil, state.windows.count >= Self.maxSenders,
        let quiet = state.windows.min(by: { $0.value.heardAt < $1.value.heardAt })
      {
        state.windows[quiet.key] = nil
      }
      var window = state.windows[sender]?.window ?? ReplayWindow()
      let isNew = window.take(number)
      state.windows[sender] = (window, now)
      return isNew
    }
  }
}
