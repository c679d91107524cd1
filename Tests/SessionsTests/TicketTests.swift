import Basics
import Crypto
import Sessions
import Testing

@Suite struct `Tickets and their hashes` {
  @Test func `a ticket is 43 characters of base64url and its hash is the SHA-256 of the bytes behind them`()
    throws
  {
    let ticket = Ticket.make()
    let text = ticket.reveal()
    #expect(text.utf8.count == 43)
    let bytes = try #require(Base64URL.decode(text))
    #expect(ticket.hash.digest.bytes == Array(SHA256.hash(data: bytes)))
  }

  @Test func `the cookie's value gives the ticket's hash, from text and from a buffer`() {
    let ticket = Ticket.make()
    let buffer = Buffer("a=1; sid=" + ticket.reveal() + "; b=2")
    #expect(TicketHash(ticket.reveal()) == ticket.hash)
    #expect(TicketHash(buffer, 9..<52) == ticket.hash)
  }

  @Test(arguments: [
    "", "x", String(repeating: "A", count: 42), String(repeating: "A", count: 44),
    String(repeating: "A", count: 42) + "=",
    String(repeating: "A", count: 42) + "B", String(repeating: "+", count: 43),
    String(repeating: "é", count: 22),
    String(repeating: "A", count: 42) + "\0",
  ])
  func `a value that is not a ticket has no hash`(value: String) {
    #expect(TicketHash(value) == nil)
  }

  @Test func `two tickets differ`() {
    #expect(Set((0..<1000).map { _ in Ticket.make().hash }).count == 1000)
  }

  @Test func `a ticket does not print`() {
    let ticket = Ticket.make()
    var dumped = ""
    dump(ticket, to: &dumped)
    for text in ["\(ticket)", String(reflecting: ticket), dumped] { #expect(!text.contains(ticket.reveal())) }
  }

  @Test func `a hash prints as eight digits, leading zeros included`() {
    #expect(TicketHash(digest: Bytes32(0x0000_00ab_ffff_ffff, 1, 2, 3)).description == "000000ab")
  }

  @Test func `parts of a user's key cannot be shifted into one another`() {
    #expect(UserKey(issuer: "ab", subject: "c") != UserKey(issuer: "a", subject: "bc"))
    #expect(
      UserKey(issuer: "https://sts.windows.net/t/", tenant: "t", objectID: "o")
        == UserKey(issuer: "https://login.microsoftonline.com/t/v2.0", tenant: "t", objectID: "o"))
    // Whoever may write any tenant into tokens of their own reaches nobody else's users.
    #expect(
      UserKey(issuer: "https://idp.test/t/v2.0", tenant: "t", objectID: "o")
        != UserKey(issuer: "https://login.microsoftonline.com/t/v2.0", tenant: "t", objectID: "o"))
    #expect(
      UserKey(issuer: "https://idp.test/common/v2.0", tenant: "t", objectID: "o")
        == UserKey(issuer: "https://idp.test/t/v2.0", tenant: "t", objectID: "o"))
    #expect(UserKey(issuer: "t", subject: "o") != UserKey(issuer: "i", tenant: "t", objectID: "o"))
  }
}
