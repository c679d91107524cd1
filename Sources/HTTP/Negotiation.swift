public import Basics

/// What a client accepts (RFC 9110 §12.5), as weights in thousandths.
public enum Negotiation {
  /// How much the client wants `type`/`subtype`: 0 (not) to 1000. The most specific matching range counts; without any
  /// `Accept` field everything is accepted.
  public static func quality(
    of type: StaticString, _ subtype: StaticString, in head: borrowing RequestHead, _ buffer: borrowing Buffer
  ) -> Int {
    guard head.contains(.accept) else { return 1000 }
    var best = (specificity: 0, quality: 0)
    for slot in head.fields where slot.id == .accept {
      var list = ListElements(slot.value)
      while let element = list.next(buffer) {
        let specificity = specificity(of: type, subtype, buffer, element)
        guard specificity > 0 else { continue }
        let quality = FieldValue.weight(buffer, element)
        if specificity > best.specificity || specificity == best.specificity && quality > best.quality {
          best = (specificity, quality)
        }
      }
    }
    return best.quality
  }

  /// Whether the client names `type`/`subtype` itself, not by a wildcard: a browser that navigates names `text/html`, a
  /// script that fetches rarely does.
  public static func names(
    _ type: StaticString, _ subtype: StaticString, in head: borrowing RequestHead, _ buffer: borrowing Buffer
  ) -> Bool {
    for slot in head.fields where slot.id == .accept {
      var list = ListElements(slot.value)
      while let element = list.next(buffer) {
        if specificity(of: type, subtype, buffer, element) == 3, FieldValue.weight(buffer, element) > 0 {
          return true
        }
      }
    }
    return false
  }

  /// How much the client wants the content coding `coding` (such as `gzip`): 0 to 1000. Without an `Accept-Encoding`
  /// field only `identity` is certain; `identity` is accepted unless refused by name or by `*;q=0`.
  public static func quality(
    ofCoding coding: StaticString, in head: borrowing RequestHead, _ buffer: borrowing Buffer
  ) -> Int {
    var named: Int?
    var wildcard: Int?
    for slot in head.fields where slot.id == .acceptEncoding {
      var list = ListElements(slot.value)
      while let element = list.next(buffer) {
        let end = buffer.firstIndex(of: UInt8(ascii: ";"), in: element) ?? element.upperBound
        let name = trim(buffer.span, element.lowerBound..<end)
        if buffer.equalsIgnoringCase(name, coding) {
          named = max(named ?? 0, FieldValue.weight(buffer, element))
        } else if buffer.equals(name, "*") {
          wildcard = max(wildcard ?? 0, FieldValue.weight(buffer, element))
        }
      }
    }
    let isIdentity = coding.description == "identity"
    return named ?? wildcard ?? (isIdentity ? 1000 : 0)
  }

  /// 3 for `type/subtype`, 2 for `type/*`, 1 for `*/*`, 0 for no match.
  private static func specificity(
    of type: StaticString, _ subtype: StaticString, _ buffer: borrowing Buffer, _ element: Range<Int>
  ) -> Int {
    let end = buffer.firstIndex(of: UInt8(ascii: ";"), in: element) ?? element.upperBound
    let range = trim(buffer.span, element.lowerBound..<end)
    guard let slash = buffer.firstIndex(of: UInt8(ascii: "/"), in: range) else { return 0 }
    let (first, second) = (range.lowerBound..<slash, slash + 1..<range.upperBound)
    if buffer.equals(first, "*") { return buffer.equals(second, "*") ? 1 : 0 }
    guard buffer.equalsIgnoringCase(first, type) else { return 0 }
    if buffer.equals(second, "*") { return 2 }
    return buffer.equalsIgnoringCase(second, subtype) ? 3 : 0
  }
}
