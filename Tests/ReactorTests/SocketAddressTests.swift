import Glibc
import Testing

@testable import Reactor

@Suite struct SocketAddressTests {
  @Test(arguments: [
    ("127.0.0.1:8080", "127.0.0.1:8080", true), ("0.0.0.0:80", "0.0.0.0:80", false),
    ("localhost:1", "127.0.0.1:1", true), ("[::1]:443", "[::1]:443", true), ("[::]:0", "[::]:0", false),
    ("[2001:db8::1]:65535", "[2001:db8::1]:65535", false), ("127.9.9.9:1", "127.9.9.9:1", true),
    ("[::ffff:127.0.0.1]:5", "127.0.0.1:5", true), ("[::ffff:10.0.0.1]:5", "10.0.0.1:5", false),
  ])
  func `an address and its port are read and written`(_ text: String, _ form: String, _ isLoopback: Bool)
    throws
  {
    let address = try #require(SocketAddress(text: text))
    #expect(address.description == form)
    #expect(address.isLoopback == isLoopback)
  }

  @Test(arguments: [
    "", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1",
    "127.0.0.1: 1",
    "127.0.0.1:1x", "127.0.0:1", "127.0.0.256:1", "example.com:80", "::1", "::1:80", "fe80::1:80", "[::1]",
    "[::1:80",
    "[127.0.0.1]:80", "[]:80", "1:2:3", "127.0.0.1:99999999999999999999",
  ])
  func `what is no address is refused`(_ text: String) {
    #expect(SocketAddress(text: text) == nil)
  }

  @Test(arguments: ["192.0.2.7:80", "[2001:db8::7]:443"])
  func `the kernel's form and back`(_ text: String) throws {
    let address = try #require(SocketAddress(text: text))
    let again = unsafe address.withPointer { pointer, length in
      var storage = sockaddr_storage()
      unsafe withUnsafeMutableBytes(of: &storage) { to in
        unsafe to.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: Int(length)))
      }
      return SocketAddress(storage: storage)
    }
    #expect(again == address)
  }

  @Test(arguments: [
    ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.1.2.3", "10.1.2.3", true),
    ("10.1.2.3", "10.1.2.4", false), ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "2001:db8::1", false),
    ("192.168.4.0/22", "192.168.7.255", true), ("192.168.4.0/22", "192.168.8.0", false),
    ("192.168.4.128/25", "192.168.4.127", false), ("fd00::/8", "fdff::1", true),
    ("fd00::/8", "fe00::1", false),
    ("2001:db8::/33", "2001:db8:7fff::1", true), ("2001:db8::/33", "2001:db8:8000::1", false),
    ("10.0.0.0/8", "::ffff:10.1.1.1", true), ("::ffff:10.0.0.0/104", "10.2.3.4", true),
    ("::ffff:10.0.0.0/104", "11.2.3.4", false), ("::/0", "::1", true),
  ])
  func `a block holds its addresses and no others`(_ block: String, _ host: String, _ isInside: Bool) throws {
    let address = try #require(SocketAddress(host: host, port: 9))
    #expect(try #require(CIDRBlock(text: block)).contains(address) == isInside)
  }

  @Test(arguments: [
    "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0/8",
    "::/129",
    "name/8", "10.0.0.0/8 ", "::ffff:10.0.0.0/90",
  ])
  func `what is no block is refused`(_ text: String) {
    #expect(CIDRBlock(text: text) == nil)
  }
}
