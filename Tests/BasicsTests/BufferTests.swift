import Basics
import Testing

@Suite struct BufferTests {
  @Test func `bytes come out as they went in`() {
    var buffer = Buffer()
    buffer.append(UInt8(ascii: "a"))
    buffer.append("bc" as StaticString)
    buffer.append("dé")
    buffer.append([1, 2])
    buffer.append(decimal: 0)
    buffer.append(decimal: .max)
    buffer.append(hex: 0)
    buffer.append(hex: 0xFFFF_0001)
    let text = buffer.string()
    let isNumber = buffer.equals(9..<10, "0")
    #expect(text == "abcdé\u{1}\u{2}0184467440737095516150ffff0001")
    #expect(isNumber == false)
  }

  @Test func `consuming and appending keep the order over many rounds`() {
    var buffer = Buffer(capacity: 16)
    var expected: [UInt8] = []
    var next: UInt8 = 0
    for round in 0..<500 {
      for _ in 0..<(round % 37) {
        buffer.append(next)
        expected.append(next)
        next &+= 1
      }
      let taken = min(expected.count, round % 23)
      buffer.consume(taken)
      expected.removeFirst(taken)
      let found = buffer.array()
      #expect(found == expected)
    }
    #expect(buffer.allocatedBytes <= 8192)
  }

  @Test func `fill appends what its body wrote`() {
    var buffer = Buffer("x")
    var sizes: [Int] = []
    let written = unsafe buffer.fill(atLeast: 1000) { room in
      sizes.append(room.count)
      unsafe room[0] = 65
      return 1
    }
    let failed = unsafe buffer.fill(atLeast: 1) { _ in -11 }
    let text = buffer.string()
    #expect(written == 1 && failed == -11 && text == "xA")
    #expect(sizes[0] >= 1000)
  }

  @Test func `searches stay inside their range`() {
    let buffer = Buffer("abcabc")
    let found = [
      buffer.firstIndex(of: 98), buffer.firstIndex(of: 98, from: 2), buffer.firstIndex(of: 98, from: 5),
      buffer.firstIndex(of: 98, from: 99), buffer.firstIndex(of: 99, in: 0..<2), buffer.find("ca", in: 0..<6),
      buffer.find("ca", in: 0..<3), buffer.find([98, 99], in: 2..<6), buffer.find([], in: 3..<3),
    ]
    #expect(found == [1, 4, nil, nil, nil, 2, nil, 4, 3])
  }

  @Test func `comparisons look at every byte`() {
    let buffer = Buffer("Host: hOsT")
    let results = [
      buffer.equals(0..<4, "Host"), buffer.equals(0..<4, "host"), buffer.equals(0..<3, "Host"),
      buffer.equalsIgnoringCase(0..<4, "hOST"), buffer.equalsIgnoringCase(0..<4, "hOSU"),
      buffer.equalsIgnoringCase(0..<4, 6..<10), buffer.hasPrefix(0..<10, "Host:"),
      buffer.hasPrefix(0..<4, "Host:"),
      buffer.equals(0..<4, Array("Host".utf8)), buffer.equalsIgnoringCase(4..<5, "\u{1A}"),
    ]
    #expect(results == [true, false, false, true, false, true, true, false, true, false])
  }

  @Test func `only letters have a case, in words of eight bytes too`() {
    let buffer = Buffer("@bcdefgh`BCDEFGHabcdefgh[]^_x{}~")
    let results = [
      buffer.equalsIgnoringCase(0..<8, 8..<16), buffer.equalsIgnoringCase(1..<8, 9..<16),
      buffer.equalsIgnoringCase(16..<24, "ABCDEFGH"), buffer.equalsIgnoringCase(16..<25, "ABCDEFGH["),
      buffer.equalsIgnoringCase(16..<25, "ABCDEFGH{"), buffer.equalsIgnoringCase(16..<24, "ABCDEFGX"),
    ]
    #expect(results == [false, true, true, true, false, false])
  }

  @Test func `control characters are found wherever they stand`() {
    for byte in UInt8(0)...255 {
      for place in [0, 7, 16, 38] {
        var bytes = [UInt8](repeating: 0x61, count: 39)
        bytes[place] = byte
        let buffer = Buffer([0] + bytes + [0])
        let found = buffer.containsControls(1..<40)
        #expect(found == (byte < 0x20 && byte != 9 || byte == 0x7F), "\(byte) at \(place)")
      }
    }
  }

  @Test func `an empty buffer gives its memory back`() {
    var buffer = Buffer(capacity: 5000)
    buffer.append(1 as UInt8)
    buffer.releaseStorage()
    #expect(buffer.allocatedBytes >= 5000)
    buffer.consume(1)
    buffer.releaseStorage()
    #expect(buffer.allocatedBytes == 0)
    let (span, isEmpty) = (buffer.span.count, buffer.isEmpty)
    #expect(span == 0 && isEmpty)
    buffer.append("again" as StaticString)
    buffer.truncate(to: 2)
    let text = buffer.string()
    #expect(text == "ag")
  }

  @Test func `an index outside the readable bytes traps`() async {
    await #expect(processExitsWith: .failure) {
      let buffer = Buffer("ab")
      _ = buffer[2]
    }
    await #expect(processExitsWith: .failure) {
      var buffer = Buffer("ab")
      buffer.consume(3)
    }
    await #expect(processExitsWith: .failure) {
      let buffer = Buffer("ab")
      _ = buffer.array(1..<3)
    }
  }
}
