import Basics
import Consent
import HTTP
import OAuth
import Sessions
import Testing

@testable import Gateway

/// A failure of the provider at a refresh and what becomes of the session.
struct FaultCase: Sendable, CustomTestStringConvertible {
  var error: OAuthError
  var outcome: String
  var testDescription: String { "\(error) → \(outcome)" }

  init(_ error: OAuthError, _ outcome: String) {
    self.error = error
    self.outcome = outcome
  }

  init(
    _ status: Int, _ error: String?, suberror: String? = nil, claims: String? = nil, empty: Bool = false,
    _ outcome: String
  ) {
    self.error = .tokenEndpoint(
      TokenEndpointError(
        status: status, error: error, suberror: suberror, claims: claims, isEmptyBody: empty,
        grant: .refreshToken))
    self.outcome = outcome
  }
}

@Suite struct ProviderFaultTests {
  static func name(_ outcome: RefreshOutcome) -> String {
    switch outcome {
    case .success: "success"
    case .invalidGrant: "invalidGrant"
    case .subjectRefused: "subjectRefused"
    case .interactionRequired: "interactionRequired"
    case .transient: "transient"
    case .misconfigured: "misconfigured"
    }
  }

  @Test(
    arguments: [
      // The grant is dead: tokens end.
      FaultCase(400, "invalid_grant", "invalidGrant"), FaultCase(401, "invalid_grant", "invalidGrant"),
      FaultCase(400, nil, empty: true, "invalidGrant"),
      FaultCase(400, "invalid_grant", suberror: "bad_token", "invalidGrant"),
      // The person is needed: the refresh token stays.
      FaultCase(400, "interaction_required", "interactionRequired"),
      FaultCase(400, "consent_required", "interactionRequired"),
      FaultCase(400, "login_required", "interactionRequired"),
      FaultCase(400, "mfa_required", "interactionRequired"),
      FaultCase(400, "invalid_grant", suberror: "consent_required", "interactionRequired"),
      FaultCase(400, "invalid_grant", claims: "{\"access_token\":{}}", "interactionRequired"),
      FaultCase(400, "interaction_required", suberror: "message_only", "interactionRequired"),
      // Later: everything stays.
      FaultCase(500, "server_error", "transient"), FaultCase(503, nil, "transient"),
      FaultCase(429, nil, "transient"),
      FaultCase(400, "temporarily_unavailable", "transient"), FaultCase(400, "slow_down", "transient"),
      FaultCase(500, "invalid_grant", "transient"), FaultCase(.metadata(.status(502)), "transient"),
      FaultCase(.keys(.status(500)), "transient"),
      // Not this person's fault.
      FaultCase(400, "invalid_client", "misconfigured"), FaultCase(401, "invalid_client", "misconfigured"),
      FaultCase(400, "unauthorized_client", "misconfigured"),
      FaultCase(400, "invalid_scope", "misconfigured"),
      FaultCase(400, "unsupported_grant_type", "misconfigured"),
      FaultCase(400, "never_heard_of", "misconfigured"),
      FaultCase(404, nil, "misconfigured"), FaultCase(.metadata(.status(404)), "misconfigured"),
      FaultCase(.metadata(.issuerURL), "misconfigured"),
      FaultCase(.credential("no key"), "misconfigured"),
      FaultCase(.response(.token, status: 200, .notJSON), "misconfigured"),
      FaultCase(.response(.token, status: 302, .status), "misconfigured"),
    ]) func `a failed refresh ends tokens, waits, asks the person or blames the operator`(
      _ example: FaultCase
    )
  {
    #expect(Self.name(ProviderFault.outcome(of: example.error)) == example.outcome)
  }

  @Test func `a refusal keeps what the next authorization request needs`() throws {
    let error = TokenEndpointError(
      status: 400, error: "interaction_required", description: "prose", suberror: "basic_action",
      errorCodes: [50076],
      claims: "{\"access_token\":{\"acrs\":{}}}")
    guard case .interactionRequired(let refusal) = ProviderFault.outcome(of: .tokenEndpoint(error)) else {
      Issue.record("not an interaction")
      return
    }
    #expect(refusal.error == "interaction_required" && refusal.suberror == "basic_action")
    #expect(refusal.codes == [50076] && refusal.claims == error.claims)
    let need = ProviderFault.need(of: refusal)
    #expect(need.kind == .claims)
    #expect(need.claims == error.claims)
  }

  @Test(
    arguments: [
      ("consent_required", .consent), ("interaction_required", .stepUp), ("mfa_required", .stepUp),
      ("something_else", .consent), ("invalid_scope", .consent),
    ] as [(String, ConsentNeed.Kind)])
  func `a refusal that needs the person always has a remedy`(error: String, kind: ConsentNeed.Kind) {
    #expect(ProviderFault.need(of: ProviderRefusal(error: error)).kind == kind)
  }

  @Test func `how long to wait is passed on`() {
    let error = TokenEndpointError(status: 503, retryAfter: .seconds(42))
    guard case .transient(let wait, let detail) = ProviderFault.outcome(of: .tokenEndpoint(error)) else {
      Issue.record("not transient")
      return
    }
    #expect(wait == .seconds(42))
    #expect(detail.contains("503"))
  }
}
