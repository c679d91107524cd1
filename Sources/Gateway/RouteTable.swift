internal import Basics
internal import HTTP

/// The routes, longest prefix first.
///
/// A prefix matches at a segment boundary only: `/mcp` covers `/mcp` and `/mcp/x`, never `/mcpx`. Paths that can be read in two
/// ways never get here (`PathRules`).
struct RouteTable: Sendable {
  /// In the order of the configuration.
  let all: [Route]
  private let longestFirst: [(prefix: [UInt8], route: Route)]

  init(_ routes: [Route]) {
    all = routes
    longestFirst = routes.map { (Array($0.path.utf8), $0) }.sorted { $0.0.count > $1.0.count }
  }

  /// The route of a path, nil when none covers it.
  func match(_ buffer: borrowing Buffer, _ path: Range<Int>) -> Route? {
    for (prefix, route) in longestFirst {
      if prefix.count == 1 { return route }
      guard path.count >= prefix.count else { continue }
      let end = path.lowerBound + prefix.count
      guard buffer.equals(path.lowerBound..<end, prefix) else { continue }
      if end == path.upperBound || buffer[end] == UInt8(ascii: "/") { return route }
    }
    return nil
  }
}
