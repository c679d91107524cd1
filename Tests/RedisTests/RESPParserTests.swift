import Basics
import Testing

@testable import Redis

@Suite struct RESPParserTests {
  private static let values: [(String, RedisValue)] = [
    ("+OK\r\n", .text("OK")),
    ("+\r\n", .text("")),
    ("-ERR no\r\n", .error("ERR no")),
    (":0\r\n", .integer(0)),
    (":-17\r\n", .integer(-17)),
    (":9223372036854775807\r\n", .integer(.max)),
    (":-9223372036854775808\r\n", .integer(.min)),
    ("$0\r\n\r\n", .text("")),
    ("$5\r\na\r\nbc\r\n", .text("a\r\nbc")),
    ("$-1\r\n", .null),
    ("*-1\r\n", .null),
    ("*0\r\n", .array([])),
    (
      "*3\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n*1\r\n*1\r\n$-1\r\n",
      .array([.integer(1), .array([.text("a"), .array([])]), .array([.array([.null])])])
    ),
  ]

  private func parse(_ pieces: [[UInt8]], _ limits: RESPLimits = RESPLimits()) throws -> [RedisValue] {
    var parser = RESPParser(limits: limits)
    var buffer = Buffer()
    var found: [RedisValue] = []
    for piece in pieces {
      buffer.append(piece)
      while let value = try parser.next(&buffer) { found.append(value) }
    }
    if !buffer.isEmpty || parser.isInside { found.append(.error("unfinished")) }
    return found
  }

  @Test func `every kind of value is read`() throws {
    for (text, value) in Self.values { #expect(try parse([Array(text.utf8)]) == [value], "\(text)") }
  }

  @Test func `a stream of values is the same wherever it is cut`() throws {
    let bytes = Self.values.flatMap { Array($0.0.utf8) }
    let whole = Self.values.map(\.1)
    for cut in 0...bytes.count {
      #expect(try parse([Array(bytes[..<cut]), Array(bytes[cut...])]) == whole, "\(cut)")
    }
    #expect(try parse(bytes.map { [$0] }) == whole)
  }

  @Test(arguments: [
    "?\r\n", "\r\n", "\n", "+a\n", "+a\rb\r\n", ":\r\n", ":+1\r\n", ":01\r\n", ":-0\r\n", ":1a\r\n",
    ":9223372036854775808\r\n", ":-9223372036854775809\r\n", ":99999999999999999999\r\n", "$-2\r\n",
    "$1\r\nab\r\n", "$1\r\na\n\n", "$99999999999\r\n", "*-2\r\n", "*9999999\r\n", "*1.5\r\n", "%1\r\n",
    "_\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
  ])
  func `what is no answer is refused, wherever it is cut`(_ text: String) throws {
    let bytes = Array(text.utf8)
    for cut in 0...bytes.count {
      #expect(throws: RESPViolation.self) { try parse([Array(bytes[..<cut]), Array(bytes[cut...])]) }
    }
  }

  @Test func `what is beyond the limits is refused before it has come`() throws {
    let limits = RESPLimits(bulkBytes: 10, lineBytes: 10, values: 4, totalBytes: 12, depth: 2)
    func refused(_ text: String) -> Bool {
      do { return try parse([Array(text.utf8)], limits).isEmpty } catch { return true }
    }
    #expect(!refused("$10\r\n0123456789\r\n"))
    #expect(refused("$11\r\n"))
    #expect(!refused("+0123456789\r\n"))
    #expect(refused("+0123456789a\r\n"))
    #expect(throws: RESPViolation.self) { try parse([Array("+0123456789abcd".utf8)], limits) }
    #expect(!refused("*3\r\n:1\r\n:2\r\n:3\r\n"))
    #expect(refused("*4\r\n"))
    #expect(refused("*2\r\n*2\r\n:1\r\n:2\r\n:3\r\n"))
    #expect(refused("*2\r\n$7\r\n0123456\r\n$6\r\n"))
    #expect(!refused("*1\r\n*1\r\n:1\r\n"))
    #expect(refused("*1\r\n*1\r\n*1\r\n"))
    // Each answer has the limits for itself.
    #expect(try parse([Array("$9\r\n012345678\r\n$9\r\n012345678\r\n".utf8)], limits).count == 2)
  }

  @Test func `a script is called by the SHA-1 of its source`() {
    #expect(RedisScript("return 1").digest == Array("e0e1f9fabfc9d4800c877a703b823ac0578ff8db".utf8))
  }
}
