internal import CLinux

/// What happened on a descriptor.
public struct PollEvents: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// There may be bytes, or the end of the stream.
  public static let readable = PollEvents(rawValue: 1)
  /// There is room for bytes.
  public static let writable = PollEvents(rawValue: 2)
  /// The peer has shut its side.
  public static let peerClosed = PollEvents(rawValue: 4)
  /// Both sides are shut.
  public static let hangUp = PollEvents(rawValue: 8)
  /// The connection failed.
  public static let error = PollEvents(rawValue: 16)

  /// Any of those after which no more edge for bytes comes.
  static let ending: PollEvents = [.peerClosed, .hangUp, .error]

  init(kernel: UInt32) {
    var events = PollEvents()
    if kernel & UInt32(COATCHECK_IN) != 0 { events.insert(.readable) }
    if kernel & UInt32(COATCHECK_OUT) != 0 { events.insert(.writable) }
    if kernel & UInt32(COATCHECK_RDHUP) != 0 { events.insert(.peerClosed) }
    if kernel & UInt32(COATCHECK_HUP) != 0 { events.insert(.hangUp) }
    if kernel & UInt32(COATCHECK_ERR) != 0 { events.insert(.error) }
    self = events
  }
}

/// Something that waits for a descriptor. Events are edges: after one, read or write until it would block.
public protocol Pollable: AnyObject {
  /// Called on the loop. May close the descriptor it is called for.
  func ready(_ events: PollEvents)
}
