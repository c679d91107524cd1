internal import HTTP

/// What the wire itself needs of a request's head, read off it once: the head is open to other modules, so each look into it is checked
/// for exclusive access, and these are not.
struct RequestFacts {
  var method = Method.get
  var framing = BodyFraming.none
  var minorVersion: UInt8 = 1
  var isKeepAlive = false

  init() {}

  init(_ head: borrowing RequestHead) {
    method = head.method
    framing = head.framing
    minorVersion = head.minorVersion
    isKeepAlive = head.isKeepAlive
  }
}

/// What the wire itself needs of an answer's head; there as soon as the head is complete, interim ones included.
struct AnswerFacts {
  let status: Int
  let framing: BodyFraming
  let isKeepAlive: Bool
  let isInterim: Bool
  let byteCount: Int
  /// The value of `Content-Length` even where it frames nothing.
  let contentLength: UInt64?

  init(_ head: borrowing ResponseHead) {
    status = head.status
    framing = head.framing
    isKeepAlive = head.isKeepAlive
    isInterim = head.isInterim
    byteCount = head.byteCount
    contentLength = head.contentLength
  }
}
