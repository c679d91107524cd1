import Basics

@testable import HTTP

extension Target {
  /// The head of a request: one reading however it trickles in, within the limits, and the framing is what a reader of another make
  /// finds in the same bytes.
  static let requestHead = Target("request-head") { input in
    var choice = Choice(input)
    let limits = choice.headLimits()
    let whole = RequestReading(input, cuts: [input.count], limits)
    let pieces = RequestReading(input, cuts: choice.cuts(of: input.count), limits)
    expectEqual(whole.outcome, pieces.outcome, "whole and in pieces the head says the same")
    guard whole.head.isComplete else { return }
    let buffer = Buffer(input)
    check(whole.head, buffer, limits)
    let alone = Array(input.prefix(whole.head.byteCount))
    expectEqual(
      RequestReading(alone, cuts: [alone.count], limits).outcome, whole.outcome,
      "what follows the head does not change it")
    var again = pieces.head
    again.reset()
    expect((try? again.parse(buffer, limits: limits)) == true, "a head can be used again")
    expectEqual(RequestReading.describe(again, buffer), whole.outcome, "a head used again says the same")
    readFields(whole.head, buffer)
  }

  private static func check(
    _ head: borrowing RequestHead, _ buffer: borrowing Buffer, _ limits: HeadLimits
  ) {
    let bounds = 0..<head.byteCount
    expect(head.byteCount <= limits.headBytes, "the head is within its limit")
    expect(head.fields.count <= limits.fieldCount, "the fields are within their limit")
    expect(head.target.count <= limits.targetBytes, "the target is within its limit")
    for range in [head.methodRange, head.target, head.path, head.authority] {
      expectInside(range, bounds, "a range is in the head")
    }
    expectInside(head.query, head.target, "the query is in the target")
    expect(!head.path.isEmpty, "there is a path")
    let other = PlainHead(buffer.array(bounds))
    expectEqual(other.fields.count, head.fields.count, "as many fields as lines")
    for (slot, field) in zip(head.fields, other.fields) {
      expectInside(slot.name, bounds, "a name is in the head")
      expectInside(slot.value, bounds, "a value is in the head")
      expectEqual(ASCII.lowercased(buffer.string(slot.name)), field.name, "a field's name")
      expectEqual(buffer.array(slot.value), field.value, "a field's value")
      // What a gateway interface would take for a name we know ends here, too.
      let isWithheld = slot.id == .other && FieldID.isLookalike(buffer, slot.name)
      expectEqual(
        slot.isHopByHop, isWithheld || other.isHopByHop(field.name), "\(field.name) ends at this hop")
    }
    expectEqual(head.framing, other.requestFraming, "the framing is the one that the lines say")
    expect(other.values("host").count <= 1, "one Host at most")
    if head.minorVersion > 0 { expect(!head.authority.isEmpty, "HTTP/1.1 has a Host") }
  }

  /// What the gateway asks of fields; none of it may fail.
  private static func readFields(_ head: borrowing RequestHead, _ buffer: borrowing Buffer) {
    for quality in [
      Negotiation.quality(of: "text", "html", in: head, buffer),
      Negotiation.quality(ofCoding: "gzip", in: head, buffer),
      Negotiation.quality(ofCoding: "identity", in: head, buffer),
    ] { expect((0...1000).contains(quality), "a weight is in thousandths: \(quality)") }
    _ = Negotiation.names("text", "html", in: head, buffer)
    for slot in head.fields {
      var list = ListElements(slot.value)
      var end = slot.value.lowerBound
      while let element = list.next(buffer) {
        expectInside(element, end..<slot.value.upperBound, "elements follow each other")
        expect(!element.isEmpty, "no element is empty")
        end = element.upperBound
        var parameters = Parameters(behind: element, buffer)
        while let parameter = parameters.next(buffer) {
          expectInside(parameter.name, element, "a parameter's name is in its element")
          expectInside(parameter.value, element, "a parameter's value is in its element")
          _ = FieldValue.unquoted(buffer, parameter.value)
        }
      }
      expectEqual(
        FieldID.lookup(buffer, slot.name), slot.id, "a field's identity does not depend on where it stands")
    }
  }
}

/// A request head read from bytes that arrive in pieces.
private struct RequestReading: ~Copyable {
  var head = RequestHead()
  var outcome = "incomplete"

  init(_ input: [UInt8], cuts: [Int], _ limits: HeadLimits) {
    var buffer = Buffer()
    var start = 0
    do throws(HTTPError) {
      for end in cuts {
        buffer.append(input[start..<end])
        start = end
        if try head.parse(buffer, limits: limits) {
          outcome = Self.describe(head, buffer)
          return
        }
      }
    } catch {
      // With which status may depend on how much had arrived when it was seen.
      expect((400...505).contains(error.status), "a refusal has a status")
      outcome = "refused"
    }
  }

  static func describe(_ head: borrowing RequestHead, _ buffer: borrowing Buffer) -> String {
    """
    \(buffer.string(head.methodRange)) \(head.target) \(head.path) \(String(describing: head.query)) \
    \(buffer.string(head.authority)) \(head.minorVersion) \(head.framing) \(head.isKeepAlive) \
    \(head.expectsContinue) \(head.byteCount) \(head.fields.map { "\($0.name) \($0.value) \($0.isHopByHop)" })
    """
  }
}
