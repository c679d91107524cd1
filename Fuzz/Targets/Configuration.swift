import Basics
import HTTP
import JSON

@testable import Configuration

extension Target {
  /// A configuration file: good, or refused with problems that name a place in it. What is good can be used.
  static let configuration = Target("configuration") { input in
    let text = input.text
    let lines = Array(text.utf8).lines
    do throws(ConfigurationError) {
      let configuration = try Configuration.parse(text, directory: "/etc/coatcheck", name: "proxy.json")
      expect((try? JSONNode.parse(text)) != nil, "a good configuration is JSON")
      check(configuration)
    } catch {
      expect(!error.problems.isEmpty, "a refusal names a problem")
      for problem in error.problems {
        expect(!problem.message.isEmpty, "a problem says something")
        guard let position = problem.position else { continue }
        expect((1...lines.count).contains(position.line), "a problem is on a line of the file: \(problem)")
        guard (1...lines.count).contains(position.line) else { continue }
        expect(
          (1...lines[position.line - 1].count + 1).contains(position.column),
          "a problem is in its line: \(problem)")
      }
    }
  }

  private static func check(_ configuration: Configuration) {
    expect(!configuration.routes.isEmpty, "there is a route")
    expectEqual(Set(configuration.routes.map(\.path)).count, configuration.routes.count, "no path twice")
    for route in configuration.routes {
      expect(RoutePath(route.path) != nil, "a route's path can be routed: \(route.path)")
      expect(URLReference(route.upstream.text) != nil, "an upstream can be asked: \(route.upstream.text)")
    }
    expectEqual(
      URLReference(configuration.publicURL.text)?.origin, configuration.publicURL.origin, "one origin")
    expect(
      SetCookie(name: configuration.session.cookieName, value: "x") != nil, "the cookie has a name that works"
    )
    expect(configuration.limits.bufferedBody <= configuration.limits.requestBody, "what is held fits")
  }
}
