import Basics
import HTTP
import Testing

@testable import Gateway

@Suite struct CookieJarTests {
  static func jar(isSecure: Bool = true) -> CookieJar {
    CookieJar(
      isSecure: isSecure, sessionName: isSecure ? "__Host-coatcheck" : "coatcheck", sameSite: .lax,
      attemptLifetime: .seconds(600))
  }

  /// Name, value and attributes (in lower case) of a `Set-Cookie` value.
  static func parts(_ text: String) throws -> (name: String, value: String, attributes: Set<String>) {
    var parts = text.components(separatedBy: "; ")
    let pair = parts.removeFirst().components(separatedBy: "=")
    try #require(pair.count == 2)
    #expect(Set(parts).count == parts.count)
    return (pair[0], pair[1], Set(parts.map { $0.lowercased() }))
  }

  @Test func `over https every cookie is bound to the host`() throws {
    let jar = Self.jar()
    let common: Set<String> = ["path=/", "httponly", "secure", "samesite=lax"]
    for text in [jar.session(Secret("v")), jar.attempt("n", value: Secret("v"))] {
      let cookie = try Self.parts(text)
      #expect(cookie.name.hasPrefix("__Host-"))
      #expect(cookie.value == "v")
      #expect(cookie.attributes.isSuperset(of: common))
      #expect(!cookie.attributes.contains { $0.hasPrefix("domain") })
    }
    #expect(try Self.parts(jar.session(Secret("v"))).attributes == common)
    #expect(try Self.parts(jar.attempt("n", value: Secret("v"))).attributes == common.union(["max-age=600"]))
  }

  @Test func `over http nothing claims to be secure`() throws {
    let jar = Self.jar(isSecure: false)
    for text in [jar.session(Secret("v")), jar.attempt("n", value: Secret("v"))] {
      let cookie = try Self.parts(text)
      #expect(!cookie.name.hasPrefix("__"))
      #expect(!cookie.attributes.contains("secure"))
      #expect(cookie.attributes.isSuperset(of: ["path=/", "httponly", "samesite=lax"]))
    }
  }

  @Test(arguments: [true, false]) func `a cookie is taken back under the name it was given`(isSecure: Bool)
    throws
  {
    let jar = Self.jar(isSecure: isSecure)
    for (set, gone) in [
      (jar.session(Secret("v")), jar.expiredSession()),
      (jar.attempt("n", value: Secret("v")), jar.expiredAttempt("n")),
    ] {
      let (before, after) = (try Self.parts(set), try Self.parts(gone))
      #expect(before.name == after.name)
      #expect(after.value.isEmpty)
      #expect(after.attributes.contains("max-age=0"))
      // A browser ignores the removal of a __Host- cookie without these.
      #expect(after.attributes.isSuperset(of: before.attributes.filter { !$0.hasPrefix("max-age") }))
    }
  }

  @Test(
    arguments: [
      "NAME=x", " NAME =x", "NAME\t=x", "\tNAME=x; Path=/", "NAME", "NAME;=", "=NAME=x", " =\t=NAME=x",
      "NAME=\u{301}x",
      "TX1=x", "TX1\t=x", "=TX1=x",
    ]) func `however a browser comes to our cookie, it is known as ours`(text: String)
  {
    for isSecure in [true, false] {
      let prefix = isSecure ? "__Host-" : ""
      let line = text.replacing("NAME", with: prefix + "coatcheck").replacing(
        "TX", with: prefix + "coatcheck-tx-")
      #expect(Self.jar(isSecure: isSecure).isOwn(line), "\(line)")
    }
  }

  @Test(arguments: [
    "theme=coatcheck", "a=b; coatcheck=c", "coatchecker=x", "=a=coatcheck", ";coatcheck=x", "",
    "= ;coatcheck=x",
  ])
  func `another cookie is not taken for ours`(text: String) {
    #expect(!Self.jar(isSecure: false).isOwn(text))
  }

  @Test func `attempts have names of their own that sort by time`() {
    let jar = Self.jar()
    let names = (0..<200).map { jar.newAttempt(now: noon + .milliseconds($0)) }
    #expect(Set(names).count == names.count)
    #expect(names.sorted() == names)
    for name in names {
      #expect(name.utf8.allSatisfy { ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") })
      #expect(name.utf8.count <= 64)
    }
  }

  @Test func `an attempt's value is found by its whole name`() {
    let jar = Self.jar()
    let cookies = [
      (name: "__Host-coatcheck-tx-ab", value: "1"), (name: "__Host-coatcheck-tx-abc", value: "2"),
      (name: "coatcheck-tx-abd", value: "3"),
    ]
    #expect(jar.attemptValue("ab", in: cookies) == "1")
    #expect(jar.attemptValue("abc", in: cookies) == "2")
    #expect(jar.attemptValue("abd", in: cookies) == nil)
    #expect(jar.attemptValue("", in: cookies) == nil)
  }

  @Test(arguments: 0..<12) func `with a new attempt there are never more than five`(open: Int) {
    let jar = Self.jar()
    let names = (0..<open).map { jar.newAttempt(now: noon + .seconds($0)) }
    let cookies = names.shuffled().map { (name: "__Host-coatcheck-tx-" + $0, value: "v") }
    let gone = jar.surplusAttempts(
      in: cookies + [(name: "__Host-coatcheck", value: "s"), (name: "other", value: "x")])
    #expect(open - gone.count + 1 <= CookieJar.maxAttempts)
    // The oldest go first, and none that need not.
    #expect(gone == Array(names.prefix(max(0, open - 4))))
  }

  @Test func `a name that would break the field is never written`() {
    let jar = Self.jar()
    let names = ["a;b", "a b", "a\r\nSet-Cookie: x=y", String(repeating: "a", count: 65), "a=b"]
    let cookies = names.map { (name: "__Host-coatcheck-tx-" + $0, value: "v") }
    #expect(jar.surplusAttempts(in: cookies + cookies).isEmpty)
  }
}
