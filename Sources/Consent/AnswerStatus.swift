/// What the status of an HTTP answer says about the body behind it.
struct AnswerStatus {
  private let code: Int

  init(_ code: Int) { self.code = code }

  /// Whether an error may stand in a body that is no JSON-RPC. Besides the usual ones 424 (the failed dependency of
  /// a tool) and 428 (a precondition the caller has to meet) are used for consent.
  var isRefusal: Bool {
    switch code {
    case 400, 401, 403, 424, 428, 500...599: true
    default: false
    }
  }

  /// Whether the request was turned away before it ran: the server judged the credential (RFC 9110 §15.5.2,
  /// §15.5.4).
  var isTurnedAway: Bool { code == 401 || code == 403 }
}
