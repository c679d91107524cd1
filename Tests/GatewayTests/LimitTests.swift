import Basics
import Dispatch
import Reactor
import Sessions
import Testing
import Wire

@testable import Gateway

@Suite struct LimitTests {
  private func network(_ host: String) throws -> ClientNetwork {
    ClientNetwork(try #require(SocketAddress(host: host, port: 1)))
  }

  // MARK: Who counts as one client

  @Test(arguments: [
    ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
    ("2001:db8::1", "2001:db8::ffff:1", true), ("2001:db8::1", "2001:db8:0:1::1", false),
    ("::ffff:192.0.2.1", "192.0.2.1", true), ("::192.0.2.1", "192.0.2.1", false), ("::", "0.0.0.0", false),
  ])
  func `an IPv4 address is one client, and so is an IPv6 network of 64 bits`(
    one: String, other: String, isSame: Bool
  ) throws {
    #expect((try network(one) == network(other)) == isSame)
  }

  @Test(
    arguments: [
      (["203.0.113.9"], "203.0.113.9"), (["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
      (["6.6.6.6, 203.0.113.9, 10.0.0.2 ,\t10.0.0.3"], "203.0.113.9"),
      (["6.6.6.6", "203.0.113.9", "10.0.0.2"], "203.0.113.9"), (["10.0.0.5, 10.0.0.6"], "10.0.0.5"),
      (["203.0.113.9:4711"], "203.0.113.9"), (["[2001:db8::1]:4711"], "2001:db8::1"),
      (["2001:db8::1"], "2001:db8::1"), ([], nil), ([""], nil), (["unknown"], nil),
      (["203.0.113.9, unknown, 10.0.0.1"], nil), ([","], nil),
    ] as [([String], String?)])
  func `behind trusted proxies the client is the last address that none of them has`(
    lines: [String], expected: String?
  ) throws {
    let trusted = [try #require(CIDRBlock(text: "10.0.0.0/8"))]
    #expect(ClientAddresses.farthest(in: lines, trusted: trusted)?.host == expected)
  }

  @Test func `what a connection shows depends on TLS and on the proxies in front`() throws {
    let trusted = [try #require(CIDRBlock(text: "10.0.0.0/8"))]
    func kind(_ host: String, isTLS: Bool) throws -> PeerKind {
      PeerKind(try #require(SocketAddress(host: host, port: 1)), isTLS: isTLS, trusted: trusted)
    }
    #expect(try kind("10.1.1.1", isTLS: true) == .trustedProxy)
    #expect(try kind("10.1.1.1", isTLS: false) == .trustedProxy)
    #expect(try kind("127.0.0.1", isTLS: false) == .local)
    #expect(try kind("127.0.0.1", isTLS: true) == .client)
    #expect(try kind("192.0.2.1", isTLS: false) == .client)
  }

  // MARK: Connections of a client

  @Test func `a client has so many connections, and a closed one makes room`() throws {
    let clients = ClientAddresses(limit: 2)
    let one = try network("192.0.2.1")
    let other = try network("192.0.2.2")
    #expect(clients.admits(one) && clients.admits(one) && !clients.admits(one))
    #expect(clients.admits(other))
    clients.left(one)
    #expect(clients.admits(one) && !clients.admits(one))
    for _ in 0..<2 { clients.left(one) }
    clients.left(other)
    #expect(clients.count == 0)
  }

  // MARK: Streams of a user

  @Test func `a user has so many streams, and others are not concerned`() {
    let streams = UserStreams(limit: 2)
    let one = Bytes32(1, 0, 0, 0)
    let other = Bytes32(2, 0, 0, 0)
    #expect(streams.opened(by: one) && streams.mayOpen(one) && !streams.isFullForSomebody)
    #expect(streams.opened(by: one) && !streams.mayOpen(one) && streams.isFullForSomebody)
    #expect(streams.mayOpen(other))
    // One that could not be refused any more is counted beyond the limit.
    #expect(!streams.opened(by: one))
    streams.closed(by: one)
    #expect(!streams.mayOpen(one) && streams.isFullForSomebody)
    streams.closed(by: one)
    #expect(streams.mayOpen(one) && !streams.isFullForSomebody)
    streams.closed(by: one)
    #expect(streams.userCount == 0)
  }

  @Test func `streams of many threads are counted right`() {
    let streams = UserStreams(limit: 3)
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      let user = Bytes32(UInt64(thread % 2), 0, 0, 0)
      for _ in 0..<2_000 {
        _ = streams.opened(by: user)
        streams.closed(by: user)
      }
    }
    #expect(streams.userCount == 0 && !streams.isFullForSomebody)
  }

  // MARK: Sign-ins

  private func at(_ seconds: Double) -> MonotonicTime {
    MonotonicTime(nanoseconds: UInt64((1_000 + seconds) * 1_000_000_000))
  }

  @Test func `after so many attempts the next one has to wait its share of a minute`() throws {
    var rate = AttemptRate(perMinute: 6)
    let key = AttemptRate.Key.client(try network("192.0.2.1"))
    for _ in 0..<6 { #expect(rate.attempt(key, now: at(0)) == nil) }
    #expect(rate.attempt(key, now: at(0)) == .seconds(10))
    #expect(rate.attempt(key, now: at(4)) == .seconds(6))
    // Being refused costs nothing.
    #expect(rate.attempt(key, now: at(10)) == nil)
    #expect(rate.attempt(key, now: at(10)) == .seconds(10))
    #expect(rate.attempt(.client(try network("192.0.2.2")), now: at(10)) == nil)
    #expect(rate.attempt(.session(hash(1)), now: at(10)) == nil)
    for _ in 0..<6 { #expect(rate.attempt(key, now: at(200)) == nil) }
    #expect(rate.attempt(key, now: at(200)) != nil)
  }

  @Test func `the table of attempts stays within its bound`() {
    var rate = AttemptRate(perMinute: 6, capacity: 100)
    for number in 0..<1_000 {
      let bytes = [10, 0, UInt8(number >> 8), UInt8(number & 255)]
      let client = ClientNetwork(SocketAddress(bytes: bytes, port: 0))
      #expect(rate.attempt(.client(client), now: at(Double(number) / 1_000)) == nil)
      #expect(rate.count <= 100)
    }
  }

  // MARK: Counting

  @Test func `every refusal has a label of its own and adds up`() {
    #expect(Set(RefusalReason.allCases.map(\.label)).count == RefusalReason.allCases.count)
    var refusals = Refusals()
    for status in [400, 408, 414, 431, 505] { refusals.countHead(status: status) }
    for denial in DenialTests.all + [.malformedRequest(408), .outOfResources(.descriptors)] {
      refusals.count(denial)
    }
    for reason in [RefusalReason.slowReader, .connectionsPerAddress] { refusals.count(reason) }
    var sum = Refusals()
    sum.add(refusals)
    sum.add(refusals)
    for reason in RefusalReason.allCases {
      #expect(refusals[reason] > 0, "\(reason)")
      #expect(sum[reason] == 2 * refusals[reason])
    }
    #expect(refusals[.malformedHead] == 2 && refusals[.largeHead] == 2 && refusals[.slowHead] == 1)
  }
}
