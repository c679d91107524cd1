internal import Basics
internal import Consent
internal import JSON
internal import Sessions

/// What a person is to be asked, and the link that leads there: made from a need, told in the caller's own way.
struct ConsentQuestion: Sendable {
  /// What the provider will be asked for.
  var consent: SignInAttempt.Consent
  /// What people call the server.
  var server: String
  /// The link's random id.
  var id: String
  /// The absolute link.
  var url: String
  /// A page of the upstream's own that the link's page leads to, instead of the provider.
  var upstreamLink: String?
  /// The refused call is kept: its answer can be fetched after the consent.
  var isKept = false

  /// Names the question in `notifications/elicitation/complete`: made from the link's id, and not to be turned back.
  static func elicitationID(_ ask: TicketHash) -> String {
    Base64URL.encode(Array(ask.digest.bytes.prefix(16)))
  }

  /// The sentence for people, without the link.
  var message: String {
    ConsentMessage.text(server: server, tool: consent.tool, scopes: consent.scopes, isStepUp: isStepUp)
  }

  /// No scope is missing: the sign-in has to be newer or stronger.
  private var isStepUp: Bool { consent.scopes.isEmpty && consent.isStepUp }

  /// The same for those who have nothing but the text.
  var messageWithLink: String {
    ConsentMessage.text(
      server: server, tool: consent.tool, scopes: consent.scopes, isStepUp: isStepUp, link: url)
  }

  /// What programs go by: the same in every form of the answer.
  func data(requestID: String) -> JSONObject {
    var data = JSONObject([
      ("reason", "consent_required"), ("scopes", .array(consent.scopes.map { .string($0) })),
      ("interaction_url", .string(url)),
    ])
    data["kind"] = .string(isStepUp ? "step_up" : "consent")
    if let tool = consent.tool { data["tool"] = .string(tool) }
    if isKept { data["kept"] = true }
    data["request_id"] = .string(requestID)
    return data
  }
}
