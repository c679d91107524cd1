import Basics

@testable import HTTP

extension Target {
  /// Small forms of text: base64 in both alphabets, dates, durations, sizes, names of cookies and fields.
  static let text = Target("text") { input in
    let text = input.text
    expectEqual(Base64URL.decode(Base64URL.encode(input)), input, "base64url is read as it is written")
    expectEqual(Base64.decode(Base64.encode(input)), input, "base64 is read as it is written")
    expectEqual(Base64.decodeLenient(Base64URL.encode(input)), input, "either alphabet is read")
    let plain = text.filter { $0 != "=" }
    if let bytes = Base64URL.decode(text) {
      expectEqual(Base64URL.encode(bytes), plain, "one text for the same bytes")
    }
    if let bytes = Base64.decode(text) {
      expectEqual(Base64.encode(bytes).filter { $0 != "=" }, plain, "one text for the same bytes")
    }
    expectEqual(
      Base64URL.decode32(input.span)?.bytes, input.count == 43 ? Base64URL.decode(text) : nil,
      "32 bytes are read in one way")
    if let duration = Duration(text: text) {
      expect(duration >= .zero, "a duration is not negative")
      expectEqual(Duration(text: duration.text), duration, "a duration is read as it is written")
    }
    if let size = ByteSize(text: text) {
      expect(size.bytes >= 0, "a size is not negative")
      expectEqual(ByteSize(text: size.description), size, "a size is read as it is written")
    }
    if let time = Timestamp(httpDate: text) {
      // Only a leap second is written in another way.
      expectEqual(Timestamp(httpDate: time.httpDate), time, "a date is read as it is written")
    }
    let quoted = Buffer(FieldValue.quoted(text))
    if FieldValue.isFieldValue(text) {
      expectEqual(FieldValue.unquoted(quoted, 0..<quoted.count), text, "a text in quotes is read again")
    }
  }
}
