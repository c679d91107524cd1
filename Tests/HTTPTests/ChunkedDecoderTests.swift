import Basics
import Testing

@testable import HTTP

private struct Outcome: Equatable {
  var body = ""
  var trailer = ""
  var rest = ""
  var status = 0
  var isFinished = false
}

private func decode(_ text: String) -> Outcome {
  func run(_ cuts: [Int], maxOutput: Int = .max) -> Outcome {
    let bytes = Array(text.utf8)
    var decoder = ChunkedDecoder(maxTrailerBytes: 64)
    var input = Buffer()
    var output = Buffer()
    var outcome = Outcome()
    var start = 0
    do throws(HTTPError) {
      for cut in cuts + [bytes.count] {
        input.append(bytes[start..<cut])
        start = cut
        while try decoder.decode(&input, into: &output, maxOutput: maxOutput) == .progressed {}
      }
    } catch {
      outcome.status = error.status
      return outcome
    }
    outcome.body = output.string()
    outcome.trailer = String(decoding: decoder.trailer, as: UTF8.self)
    outcome.rest = input.string()
    outcome.isFinished = decoder.isFinished
    return outcome
  }
  let whole = run([])
  #expect(run(Array(0..<text.utf8.count)) == whole, "byte by byte")
  #expect(run([], maxOutput: 1) == whole, "one byte out at a time")
  for cut in 0..<text.utf8.count { #expect(run([cut]) == whole, "split at \(cut)") }
  return whole
}

@Suite struct ChunkedDecoderTests {
  @Test func `chunks are joined and what follows is left`() {
    let outcome = decode("5\r\nhello\r\n00A;x=\"y\"\r\n, world!!!\r\n0\r\n\r\nGET /")
    #expect(outcome == Outcome(body: "hello, world!!!", rest: "GET /", isFinished: true))
  }

  @Test func `trailers are kept apart`() {
    let outcome = decode("1\r\na\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n")
    #expect(outcome == Outcome(body: "a", trailer: "X-Sum: 1\r\nY: 2\r\n", isFinished: true))
  }

  @Test(arguments: 50...70) func `a trailer is never longer than its limit`(length: Int) {
    let line = "X: " + String(repeating: "x", count: length - 5) + "\r\n"
    let outcome = decode("0\r\n" + line + "\r\n")
    // The empty line counts as well; the limit is 64.
    #expect(outcome.isFinished == (length + 2 <= 64))
    #expect(outcome.trailer == (outcome.isFinished ? line : ""))
  }

  @Test(arguments: [
    "\r\n", "g\r\n", "-1\r\n", "0x1\r\na\r\n", " 1\r\na\r\n", "1 \r\na\r\n", "1\na\r\n", "1\r\nab\r\n",
    "1\r\na\n",
    "1\r\naX", "10000000000000000\r\n", "8000000000000000\r\n", "1;\u{1}\r\na\r\n", "1;a\rb\r\n",
    "0\r\nbad\r\n\r\n", "0\r\n: x\r\n\r\n", "0\r\na b: x\r\n\r\n", "0\r\n\n",
    "0\r\nA: \(String(repeating: "x", count: 70))\r\n\r\n",
    "1;\(String(repeating: "x", count: 1100))\r\na\r\n",
  ]) func `malformed chunks are refused`(text: String) {
    #expect(decode(text).status == 400)
  }

  @Test func `a chunk size of seventeen digits is refused`() {
    #expect(decode("00000000000000001\r\na\r\n").status == 400)
    #expect(decode("0000000000000001\r\na\r\n0\r\n\r\n").body == "a")
  }

  @Test func `an unfinished body is not finished`() {
    #expect(decode("5\r\nhel") == Outcome(body: "hel"))
  }

  @Test func `what is encoded is decoded`() {
    var wire = Buffer()
    let text = Buffer(String(repeating: "0123456789", count: 30))
    wire.appendChunk(from: text, 0..<300)
    wire.appendChunk(from: text, 7..<7)
    wire.appendChunk(Array("end".utf8))
    wire.appendLastChunk()
    let encoded = wire.string()
    let body = text.string()
    #expect(encoded.hasPrefix("12c\r\n"))
    #expect(decode(encoded).body == body + "end")
  }
}
