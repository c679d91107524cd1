/// Where the three fields stand that repeat what an MCP message says (2026-07-28, transports).
///
/// Ranges count from the first readable byte of the buffer that holds the request's head, without surrounding
/// space.
public struct RoutingHeaders: Sendable, Equatable {
  /// How often a field occurs.
  public enum Field: Sendable, Equatable {
    case absent
    case once(Range<Int>)
    /// More than once: never merged, always refused.
    case repeated

    /// - Parameters:
    ///   - count: how many field lines there are.
    ///   - first: the value of the first one.
    public init(count: Int, first: Range<Int>?) {
      switch (count, first) {
      case (0, _), (1, nil): self = .absent
      case (1, let value?): self = .once(value)
      default: self = .repeated
      }
    }
  }

  /// `MCP-Protocol-Version`.
  public var version: Field
  /// `Mcp-Method`.
  public var method: Field
  /// `Mcp-Name`.
  public var name: Field

  /// The three fields of a request.
  public init(version: Field = .absent, method: Field = .absent, name: Field = .absent) {
    self.version = version
    self.method = method
    self.name = name
  }
}
