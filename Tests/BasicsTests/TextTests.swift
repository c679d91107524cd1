import Basics
import Testing

@Suite struct TextTests {
  @Test(
    arguments: [([], ""), ([0], "AA"), ([0xFB, 0xFF], "-_8"), ([102, 111, 111], "Zm9v")]
      as [([UInt8], String)])
  func `base64url is written without padding and read back`(bytes: [UInt8], text: String) {
    #expect(Base64URL.encode(bytes) == text)
    #expect(Base64URL.decode(text) == bytes)
    #expect(Base64.decodeLenient(text) == bytes)
    #expect(Base64.decode(Base64.encode(bytes)) == bytes)
  }

  @Test(arguments: ["A", "AAAAA", "AB", "A=", "AA=", "AA===", "====", "A A", "AA+A", "Zm9v\n", "é"])
  func `text that is not base64url is refused`(text: String) {
    #expect(Base64URL.decode(text) == nil)
  }

  @Test func `both alphabets are read leniently`() {
    #expect(Base64.decodeLenient("+/-_") == Base64URL.decode("-_-_"))
    #expect(Base64.decode("-_8=") == nil)
    #expect(Base64.decode("+/8=") == [0xFB, 0xFF])
  }

  @Test func `a ticket is read without detours`() throws {
    for _ in 0..<50 {
      let bytes = RandomBytes.make(32)
      let text = Base64URL.encode(bytes)
      let buffer = Buffer("x=" + text)
      let found = Base64URL.decode32(buffer, 2..<45)
      #expect(text.utf8.count == 43)
      #expect(found?.bytes == bytes)
      #expect(found == Bytes32(bytes))
      let inMemory = unsafe found?.withBytes { unsafe [UInt8]($0) }
      #expect(inMemory == bytes)
    }
    let zero = String(repeating: "A", count: 43)
    for bad in [
      zero + "A", String(zero.dropLast()), zero.dropLast() + "B", zero.dropLast() + "=",
      zero.dropLast() + "+",
    ] {
      let buffer = Buffer(bad)
      let found = Base64URL.decode32(buffer, 0..<buffer.count)
      #expect(found == nil, "\(bad)")
    }
  }

  @Test func `random tokens differ and are long enough`() {
    let tokens = (0..<100).map { _ in RandomBytes.token() }
    #expect(Set(tokens).count == 100)
    #expect(tokens.allSatisfy { $0.utf8.count == 43 })
    #expect(RandomBytes.make(5).count == 5 && RandomBytes.make(0).isEmpty)
  }

  @Test func `percent-encoding keeps only unreserved characters`() {
    #expect(PercentEncoding.encode("aZ09-._~ é/+&=%") == "aZ09-._~%20%C3%A9%2F%2B%26%3D%25")
    #expect(PercentEncoding.formEncode([("a", "b c"), ("d", "")]) == "a=b%20c&d=")
    #expect(PercentEncoding.decode("%C3%a9+") == "é+")
    #expect(PercentEncoding.decode("a+b", plusIsSpace: true) == "a b")
    for bad in ["%", "%1", "%zz", "%ff", "%c3"] { #expect(PercentEncoding.decode(bad) == nil, "\(bad)") }
  }

  @Test func `a query is read pair by pair`() {
    let pairs = PercentEncoding.parseQuery("a=1&b=x+y%26z&&c&=d&bad=%&a=2=3")
    #expect(pairs.map { "\($0.0)|\($0.1)" } == ["a|1", "b|x y&z", "c|", "|d", "a|2=3"])
    #expect(PercentEncoding.parseQuery("a=1&b=2&c=3", maxPairs: 2).count == 2)
    #expect(PercentEncoding.parseQuery("").isEmpty)
  }

  @Test func `a secret never prints and compares whole`() {
    let secret = Secret("hunter2")
    var dumped = ""
    dump(secret, to: &dumped)
    dump([secret], to: &dumped)
    for text in ["\(secret)", String(reflecting: secret), "\(Optional(secret) as Any)", dumped] {
      #expect(!text.contains("hunter") && !text.contains("104"), "\(text)")
    }
    #expect(secret.reveal() == "hunter2")
    #expect(secret == Secret(bytes: Array("hunter2".utf8)))
    #expect(
      secret != Secret("hunter3") && secret != Secret("hunter")
        && Set([secret, Secret("hunter2")]).count == 1)
  }
}

@Suite struct TimeTests {
  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
      (784_111_777_000, "1994-11-06T08:49:37.000Z", "Sun, 06 Nov 1994 08:49:37 GMT"),
      (951_827_696_789, "2000-02-29T12:34:56.789Z", "Tue, 29 Feb 2000 12:34:56 GMT"),
      (-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 GMT"),
      (4_107_542_399_000, "2100-02-28T23:59:59.000Z", "Sun, 28 Feb 2100 23:59:59 GMT"),
    ] as [(Int64, String, String)]) func `moments are written for logs and for HTTP`(
      milliseconds: Int64, rfc3339: String, httpDate: String
    )
  {
    let moment = Timestamp(milliseconds: milliseconds)
    #expect(moment.rfc3339 == rfc3339)
    #expect(moment.httpDate == httpDate)
    #expect(Timestamp(httpDate: httpDate)?.seconds == moment.seconds)
  }

  @Test(arguments: [
    "", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
    "Sun, 6 Nov 1994 08:49:37 GMT",
  ]) func `other date forms are refused`(text: String) {
    #expect(Timestamp(httpDate: text) == nil)
  }

  @Test func `arithmetic stays at its limits`() {
    let end = Timestamp(milliseconds: .max)
    #expect(end + .seconds(1) == end)
    #expect(Timestamp(seconds: .max) == end)
    #expect(Timestamp(seconds: .min).milliseconds == .min)
    #expect(Timestamp(milliseconds: 5000) - Timestamp(milliseconds: 2000) == .seconds(3))
    #expect(Timestamp(milliseconds: 5000) - Duration.seconds(2) == Timestamp(seconds: 3))
    #expect(Duration.seconds(Int64.max).milliseconds == .max)
    #expect(Duration.seconds(Int64.max).nanoseconds == .max && Duration.seconds(-1).nanoseconds == 0)
    #expect(Timestamp.now() > Timestamp(seconds: 1_700_000_000))
  }

  @Test(
    arguments: [
      ("250ms", .milliseconds(250)), ("30s", .seconds(30)), ("5m", .seconds(300)), ("8h", .seconds(28800)),
      ("7d", .seconds(604_800)), ("0s", .zero), ("90s", .seconds(90)), ("36500d", .seconds(36500 * 86400)),
    ] as [(String, Duration)]) func `durations are read and written`(text: String, duration: Duration)
  {
    #expect(Duration(text: text) == duration)
    #expect(Duration(text: duration.text) == duration)
  }

  @Test(arguments: [
    "", "5", "s", "-5s", "+5s", "5 s", "1.5s", "5S", "5sec", "36501d", "9999999999999999s",
    "999999999999999d",
  ])
  func `other durations are refused`(text: String) {
    #expect(Duration(text: text) == nil)
  }

  @Test(arguments: [("512B", 512), ("16KiB", 16384), ("4MiB", 4 << 20), ("1GiB", 1 << 30), ("0B", 0)])
  func `sizes are read and written`(text: String, bytes: Int) {
    #expect(ByteSize(text: text)?.bytes == bytes)
    #expect(ByteSize(bytes: bytes).description == text)
  }

  @Test(arguments: ["", "4", "4MB", "4mib", "-1B", "1.5KiB", "2000GiB", "9999999999999GiB", "KiB"])
  func `other sizes are refused`(text: String) {
    #expect(ByteSize(text: text) == nil)
  }
}
