internal import Basics
internal import HTTP

/// The origins that may use this proxy from a browser: its own and the configured ones. Compared byte for byte: an origin is
/// already in normal form when a browser sends it (RFC 6454 §6.2).
struct OriginPolicy: Sendable {
  let own: [UInt8]
  let allowed: [[UInt8]]

  init(own: String, allowed: [String]) {
    self.own = Array(own.utf8)
    self.allowed = allowed.map { Array($0.utf8) }
  }

  func judge(_ buffer: borrowing Buffer, _ value: Range<Int>) -> CallerEvidence.Origin {
    if buffer.equals(value, own) { return .own }
    for index in allowed.indices where buffer.equals(value, allowed[index]) { return .allowed(index) }
    return buffer.equals(value, "null") ? .hidden : .foreign
  }
}

extension CallerEvidence {
  /// Reads the evidence off a request head. No allocation.
  init(_ head: borrowing RequestHead, _ buffer: borrowing Buffer, policy: OriginPolicy) {
    self.init()
    switch head.method {
    case .get: verb = .get
    case .head: verb = .head
    case .post: verb = .post
    case .delete: verb = .delete
    case .options: verb = .options
    default: verb = .other
    }
    if head.contains(.secFetchSite) { site = CallerEvidence.site(head, buffer) }
    if let slot = head.first(.secFetchMode) {
      mode = buffer.equals(slot.value, "navigate") ? .navigate : .other
    }
    if head.contains(.origin) {
      // Two Origin fields are nobody's browser.
      origin = head.only(.origin).map { policy.judge(buffer, $0) } ?? .foreign
    }
    if let slot = head.first(.contentType) {
      content =
        head.count(of: .contentType) == 1 && FieldValue.isMediaType("application/json", buffer, slot.value)
        ? .json : .other
    }
    if let slot = head.first(.accept) { acceptsHTML = buffer.find("text/html", in: slot.value) != nil }
    if let slot = head.first(.xRequestedWith) {
      isScripted = buffer.equalsIgnoringCase(slot.value, "XMLHttpRequest")
    }
  }

  private static func site(_ head: borrowing RequestHead, _ buffer: borrowing Buffer) -> FetchSite {
    guard let value = head.only(.secFetchSite) else { return .unknown }
    if buffer.equals(value, "same-origin") { return .sameOrigin }
    if buffer.equals(value, "same-site") { return .sameSite }
    if buffer.equals(value, "cross-site") { return .crossSite }
    if buffer.equals(value, "none") { return .none }
    return .unknown
  }
}
