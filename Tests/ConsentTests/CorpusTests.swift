import Basics
import Consent
import HTTP
import JSON
import Testing

@testable import OAuth

@Suite struct `Every dialect of the corpus` {
  @Test func `is there, with what must pass beside it`() {
    #expect(Fixture.all.count >= 30)
    #expect(Fixture.all.count { $0.expect == nil } >= 30)
    #expect(Set(Fixture.all.map(\.kind)).count == 7)
  }

  // MARK: Messages

  @Test(arguments: Fixture.of(.rpcError, .toolResult, .result, .body))
  func `says the same in a body, plain and coded`(fixture: Fixture) throws {
    for (place, text) in try spellings(fixture) {
      let id = fixture.kind == .body ? nil : #""b-7""#
      let plain = finding(fixture, Array(text.utf8))
      check(plain?.need, fixture, "body, \(place)")
      if let id, let plain { #expect(String(decoding: plain.id, as: UTF8.self) == id) }
      let coded = try ContentEncoder.gzip(Array(text.utf8))
      let decoded = try ContentDecoder.decode(coded, .gzip, maxBytes: fixture.watch.maxBytes)
      #expect(finding(fixture, decoded) == plain)
    }
  }

  @Test(arguments: Fixture.of(.rpcError, .toolResult, .result, .event))
  func `says the same as an event, first or later, coded or in pieces`(fixture: Fixture) throws {
    let type =
      fixture.kind == .event ? fixture.eventType.map { "event: \($0)\n" } ?? "" : "event: message\r\n"
    let others =
      ": hello\n\nid: 1\nretry: 500\ndata:\n\n"
      + #"event: message\#ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"error":null}}"#
      + "\n\n"
    for (place, text) in try spellings(fixture) {
      let event = "\(type)id: 2\ndata: \(text.split(separator: "\n").joined(separator: "\ndata: "))\n\n"
      for (position, stream) in [
        ("first", event), ("later", others + event), ("in between", others + event + others),
      ] {
        let bytes = Array(stream.utf8)
        let coded = try ContentEncoder.gzip(bytes)
        let decoded = try ContentDecoder.decode(coded, .gzip, maxBytes: 1 << 20)
        for (piece, source) in [(bytes.count, bytes), (64, bytes), (64, decoded)] {
          let found = findings(fixture, source, piece: piece)
          #expect(found.count == (fixture.expect == nil ? 0 : 1), "\(fixture.name)")
          check(found.first?.need, fixture, "\(position) event in pieces of \(piece), \(place)")
          #expect(
            found.first.map { $0.id == Array((fixture.kind == .event ? "null" : #""b-7""#).utf8) } ?? true)
        }
      }
    }
  }

  /// The message as it stands and with white space.
  private func spellings(_ fixture: Fixture) throws -> [(String, String)] {
    let text = fixture.message(id: #""b-7""#)
    return [("compact", text), ("pretty", try JSONValue.parse(text).serialized(pretty: true))]
  }

  private func finding(_ fixture: Fixture, _ body: [UInt8]) -> ConsentFinding? {
    let buffer = Buffer(Array("{".utf8) + body + Array("}".utf8))
    return fixture.watch.finding(inBody: buffer, 1..<buffer.count - 1, status: fixture.status)
  }

  /// What the watch finds in a stream that arrives in pieces.
  private func findings(_ fixture: Fixture, _ stream: [UInt8], piece: Int) -> [ConsentFinding] {
    let watch = fixture.watch
    var splitter = EventStreamSplitter(maxEventBytes: 1 << 20)
    var buffer = Buffer()
    var out: [ConsentFinding] = []
    var sent = 0
    while sent < stream.count {
      let end = min(sent + piece, stream.count)
      buffer.append(Array(stream[sent..<end]))
      sent = end
      loop: while true {
        switch splitter.next(buffer) {
        case .needMore: break loop
        case .event(let count):
          if let finding = watch.finding(inEvent: buffer, 0..<count) { out.append(finding) }
          buffer.consume(count)
        case .passThrough(let count, _):
          Issue.record("an event of \(count) bytes is too long")
          buffer.consume(count)
        }
      }
    }
    return out
  }

  @Test(arguments: Fixture.of(.body))
  func `that is no JSON-RPC is nothing inside an event`(fixture: Fixture) {
    guard fixture.payload?["jsonrpc"] == nil else { return }
    for event in ["", "event: message\n", "event: error\n"] {
      let buffer = Buffer("\(event)data: \(fixture.message())\n\n")
      #expect(fixture.watch.finding(inEvent: buffer, 0..<buffer.count) == nil)
    }
  }

  @Test(arguments: Fixture.of(.body))
  func `that is no JSON-RPC proves by 401 and 403 alone that nothing ran`(fixture: Fixture) {
    guard let expected = fixture.expect, fixture.status != 200, fixture.json["rules"] == nil else { return }
    for status in [400, 401, 403, 424, 428, 500, 502, 503, 599] {
      let body = Buffer(fixture.message())
      let need = fixture.watch.finding(inBody: body, 0..<body.count, status: status)?.need
      #expect(need?.kind == expected.kind, "\(status)")
      #expect(need?.isUnexecuted == [401, 403].contains(status), "\(status)")
    }
    guard fixture.payload?["jsonrpc"] == nil else { return }
    for status in [200, 201, 204, 302, 402, 404, 409, 429, 600] {
      let body = Buffer(fixture.message())
      #expect(fixture.watch.finding(inBody: body, 0..<body.count, status: status) == nil, "\(status)")
    }
  }

  // MARK: Challenges

  @Test(arguments: Fixture.of(.header))
  func `says the same in any order and number of fields`(fixture: Fixture) {
    let strangers = [#"Negotiate YWJj"#, #"Digest realm="a, b=\"c\"", nonce="x""#]
    let each = Challenge.parse(fixture.headers).map(spelled)
    let backward = Challenge.parse(fixture.headers).map {
      spelled(Challenge(scheme: $0.scheme, token68: $0.token68, parameters: $0.parameters.reversed()))
    }
    var places: [(String, [String])] = [("as it was sent", fixture.headers)]
    // A challenge that cannot be spelled anew was dropped: nothing is left to be moved.
    places += [
      ("parameters backward", backward), ("in one field", [each.joined(separator: ", ")]),
      ("in one field without spaces", [each.joined(separator: ",")]),
      ("behind strangers", strangers + fixture.headers), ("before strangers", fixture.headers + strangers),
      ("behind strangers in the field", [(strangers + backward).joined(separator: ", ")]),
      ("between empty elements", [", ,"] + each.map { ", \($0) ," }),
    ]
    for (place, fields) in places {
      check(ConsentNeed.from(challenges: Challenge.parse(fields), status: fixture.status), fixture, place)
    }
    // Fields in the other order: scopes of equals come in the other order as well.
    let reversed = ConsentNeed.from(
      challenges: Challenge.parse(fixture.headers.reversed()), status: fixture.status)
    #expect(reversed?.kind == fixture.expect?.kind)
    #expect(Set(reversed?.scopes ?? []) == Set(fixture.expect?.scopes ?? []))
  }

  private func spelled(_ challenge: Challenge) -> String {
    if let value = challenge.token68 { return "\(challenge.scheme) \(value)" }
    let parameters = challenge.parameters.map { "\($0.name)=\(quoted($0.value))" }
    return ([challenge.scheme] + [parameters.joined(separator: ", ")].filter { !$0.isEmpty })
      .joined(separator: " ")
  }

  // MARK: Token endpoint

  @Test(arguments: Fixture.of(.tokenEndpoint))
  func `of the token endpoint is a need`(fixture: Fixture) throws {
    let wait = fixture.json["retry_after"]?.int64.map { [("Retry-After", "\($0)")] } ?? []
    let response = FetchResponse(
      status: fixture.status, fields: wait.map { (name: $0.0, value: $0.1) },
      body: fixture.payload.map { $0.serializedBytes() } ?? [])
    let grant = try #require(fixture.json["grant"]?.string.flatMap(GrantType.init))
    do throws(OAuthError) {
      _ = try TokenEndpoint.read(response, grant: grant, now: Timestamp(seconds: 1_800_000_000))
      Issue.record("taken for tokens")
    } catch {
      let need = ConsentNeed.from(error)
      check(need, fixture, "token endpoint")
      #expect(need.source == .tokenEndpoint)
      #expect(!String(reflecting: need).contains("canary") && !String(reflecting: error).contains("canary"))
    }
  }

  @Test(arguments: Fixture.all)
  func `keeps no token of the provider`(fixture: Fixture) {
    let body = Buffer(fixture.message())
    let need = fixture.watch.finding(inBody: body, 0..<body.count, status: 403)?.need
    #expect(need.map { !String(reflecting: $0).contains("canary") } ?? true)
  }
}
