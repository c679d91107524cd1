import Basics
import Testing

@testable import Wire

@Suite struct MessageEventTests {
  @Test(arguments: [
    ("", ""),
    ("{}", "event: message\ndata: {}\n\n"),
    ("{\n}\n", "event: message\ndata: {\ndata: }\ndata: \n\n"),
    ("a\r\nb\rc\n\rd", "event: message\ndata: a\ndata: b\ndata: c\ndata: \ndata: d\n\n"),
    ("\r\n", "event: message\ndata: \ndata: \n\n"),
    ("\n\n", "event: message\ndata: \ndata: \ndata: \n\n"),
  ])
  func `every line of a body is a data line, wherever it is cut`(body: String, event: String) {
    let bytes = Array(body.utf8)
    for cut in 0...bytes.count {
      var message = MessageEvent()
      var output = Buffer()
      message.append(Buffer(Array(bytes[..<cut])), to: &output)
      message.append(Buffer(Array(bytes[cut...])), to: &output)
      message.end(to: &output)
      #expect(output.string(0..<output.count) == event)
    }
  }
}
