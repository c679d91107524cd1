import Basics
import Testing

@testable import HTTP

private func parse(_ text: String, method: Method = .get) -> Result<[String], HTTPError> {
  func run(_ cuts: [Int]) -> Result<[String], HTTPError> {
    let bytes = Array(text.utf8)
    var buffer = Buffer()
    var head = ResponseHead()
    var start = 0
    do throws(HTTPError) {
      for cut in cuts + [bytes.count] {
        buffer.append(bytes[start..<cut])
        start = cut
        if try head.parse(buffer, limits: HeadLimits(headBytes: 512), requestMethod: method) { break }
      }
      guard head.isComplete else { return .failure(HTTPError(0, "incomplete")) }
    } catch { return .failure(error) }
    return .success(["\(head.status)", buffer.string(head.reason), "\(head.framing)", "\(head.isKeepAlive)"])
  }
  let whole = run([])
  #expect(run(Array(0..<text.utf8.count)) == whole)
  for cut in 0..<text.utf8.count { #expect(run([cut]) == whole) }
  return whole
}

@Suite struct ResponseHeadTests {
  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method.get, ["200", "OK", "length(5)", "true"]),
    ("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", .get, ["200", "", "length(5)", "true"]),
    ("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", .post, ["200", "", "chunked", "true"]),
    ("HTTP/1.1 200 OK\r\n\r\n", .get, ["200", "OK", "untilClose", "false"]),
    ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", .get, ["200", "OK", "length(5)", "false"]),
    (
      "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", .get,
      ["200", "OK", "length(5)", "true"]
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", .head, ["200", "OK", "none", "true"]),
    ("HTTP/1.1 204 No Content\r\n\r\n", .post, ["204", "No Content", "none", "true"]),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", .post, ["204", "No Content", "none", "true"]),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", .post, ["204", "No Content", "none", "false"]),
    (
      "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", .post,
      ["204", "No Content", "none", "false"]
    ),
    (
      "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", .get, ["304", "Not Modified", "none", "true"]
    ),
    ("HTTP/1.1 100 Continue\r\n\r\n", .post, ["100", "Continue", "none", "true"]),
    ("HTTP/1.1 101 Switching Protocols\r\n\r\n", .get, ["101", "Switching Protocols", "none", "false"]),
    (
      "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", .post,
      ["202", "Accepted", "length(0)", "false"]
    ),
  ]) func `body framing follows RFC 9112 6 3`(text: String, method: Method, expected: [String]) throws {
    #expect(try parse(text, method: method).get() == expected)
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 5\n\n",
    "HTTP/1.1 99 OK\r\n\r\n", "HTTP/1.1 600 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "<html>",
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 200 O\u{1}K\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 600),
  ]) func `an ambiguous answer is a bad gateway`(text: String) {
    guard case .failure(let error) = parse(text) else {
      Issue.record("accepted")
      return
    }
    #expect(error.status == 502)
  }
}
