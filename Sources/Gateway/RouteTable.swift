internal import Basics
internal import HTTP

/// The routes, longest prefix first.
///
/// A prefix matches at a segment boundary only: `/mcp` covers `/mcp` and `/mcp/x`, never `/mcpx`. Paths that can be read in two
/// ways never get here (`PathRules`).
struct RouteTable: Sendable {
  /// In the order of the configuration.
  let all: [Route]
  private let longestFirst: [Route]

  init(_ routes: [Route]) {
    all = routes
    longestFirst = routes.sorted { $0.prefix.specificity > $1.prefix.specificity }
  }

  /// The route of a path and what follows its prefix; nil when none covers it.
  func match(_ buffer: borrowing Buffer, _ path: Range<Int>) -> (Route, Range<Int>)? {
    for route in longestFirst {
      if let rest = route.prefix.match(buffer, path) { return (route, rest..<path.upperBound) }
    }
    return nil
  }
}
