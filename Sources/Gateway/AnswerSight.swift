internal import Basics
internal import HTTP

/// Everything that decides how an answer is treated, read off its head in one go.
struct AnswerSight {
  enum Content { case json, eventStream, other }

  let status: Int
  let content: Content
  let hasBody: Bool
  /// Declared length of the body; nil when it is not known beforehand.
  let bodyLength: UInt64?
  let isCoded: Bool
  let hasMCPSession: Bool

  init(_ head: borrowing ResponseHead, _ buffer: borrowing Buffer) {
    status = head.status
    if let type = head.first(.contentType) {
      if FieldValue.isMediaType("application/json", buffer, type.value) {
        content = .json
      } else if FieldValue.isMediaType("text/event-stream", buffer, type.value) {
        content = .eventStream
      } else {
        content = .other
      }
    } else {
      content = .other
    }
    hasBody = head.framing != .none
    if case .length(let count) = head.framing { bodyLength = count } else { bodyLength = nil }
    isCoded = head.contains(.contentEncoding)
    hasMCPSession = head.contains(.mcpSessionID)
  }
}
