public import Basics

/// The two ways MCP works over HTTP.
///
/// *Legacy* (up to 2025-11-25) opens a session with `initialize`; *modern* (since 2026-07-28) says everything
/// with each request. Both may use the same address at the same time (MCP 2026-07-28, versioning).
public enum ProtocolEra: Sendable, Hashable {
  case legacy, modern

  /// Whether a client that disconnects thereby cancels its request. Since 2026-07-28 it does (transports,
  /// *Cancellation*); before, it must not be taken for one (2025-11-25, transports, *Sending Messages* 6).
  public var disconnectCancels: Bool { self == .modern }
}

/// The protocol versions whose rules differ for a proxy.
public enum ProtocolVersion {
  /// Versions that carry their metadata in each request and demand the routing headers.
  public static let modern: [StaticString] = ["2026-07-28"]

  /// The only version with JSON-RPC batches; also what a request without the header is taken for.
  public static let withBatches: StaticString = "2025-03-26"

  /// The last version that opens sessions.
  public static let lastLegacy: StaticString = "2025-11-25"

  /// Whether the version at `range` is one of ``modern``. An unknown version is not: it is passed on as
  /// legacy.
  public static func isModern(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Bool {
    for version in modern where buffer.equals(range, version) { return true }
    return false
  }
}
