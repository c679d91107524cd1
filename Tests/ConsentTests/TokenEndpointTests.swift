import Consent
import HTTP
import OAuth
import Testing

private let claims = #"{"access_token":{"polids":{"essential":true,"Values":["3"]}}}"#

private struct Row: Sendable, CustomTestStringConvertible {
  var name: String
  var error: TokenEndpointError
  var kind: ConsentNeed.Kind
  var code: String
  var claims: String?
  var testDescription: String { name }

  init(
    _ name: String, status: Int = 400, _ error: String?, suberror: String? = nil, codes: [Int] = [],
    description: String? = nil, claims: String? = nil, retryAfter: Duration? = nil, isEmpty: Bool = false,
    grant: GrantType = .refreshToken, _ kind: ConsentNeed.Kind, _ code: String
  ) {
    self.name = name
    self.error = TokenEndpointError(
      status: status, error: error, description: description, suberror: suberror, errorCodes: codes,
      claims: claims,
      correlationID: "c-1", retryAfter: retryAfter, isEmptyBody: isEmpty, grant: grant)
    (self.kind, self.code, self.claims) = (kind, code, claims)
  }
}

private let rows: [Row] = [
  // Consent.
  Row("consent_required", "consent_required", .consent, "consent_required"),
  Row(
    "Entra's consent", "invalid_grant", suberror: "consent_required", codes: [65001], .consent, "AADSTS65001"),
  Row("Entra's consent without a suberror", "invalid_grant", codes: [65001], .consent, "AADSTS65001"),
  Row(
    "Entra's consent in words", "invalid_grant", description: "AADSTS65001: The user…", .consent,
    "AADSTS65001"),
  Row("Entra's consent as interaction", "interaction_required", codes: [65001], .consent, "AADSTS65001"),
  Row("Auth0's exchange", status: 403, "consent_required", .consent, "consent_required"),
  // More proof.
  Row("interaction_required", "interaction_required", .stepUp, "interaction_required"),
  Row("login_required", "login_required", .stepUp, "login_required"),
  Row("account selection", "account_selection_required", .stepUp, "account_selection_required"),
  Row("a second factor", "interaction_required", codes: [50076], .stepUp, "AADSTS50076"),
  Row(
    "a second factor with claims", "interaction_required", codes: [50076], claims: claims, .claims,
    "AADSTS50076"),
  Row(
    "a second factor as invalid_grant", "invalid_grant", suberror: "basic_action", codes: [50079], .stepUp,
    "AADSTS50079"),
  Row("an action", "invalid_grant", suberror: "additional_action", .stepUp, "invalid_grant"),
  Row(
    "claims win over the suberror", "invalid_grant", suberror: "bad_token", claims: claims, .claims,
    "invalid_grant"),
  Row("Auth0's second factor", status: 403, "mfa_required", .stepUp, "mfa_required"),
  // The grant is gone.
  Row("invalid_grant", "invalid_grant", .reauth(.grantEnded), "invalid_grant"),
  Row("Auth0's invalid_grant", status: 403, "invalid_grant", .reauth(.grantEnded), "invalid_grant"),
  Row("a password that changed", "invalid_grant", codes: [50173], .reauth(.grantEnded), "AADSTS50173"),
  Row(
    "a token that expired", "invalid_grant", suberror: "token_expired", codes: [700082], .reauth(.grantEnded),
    "AADSTS700082"),
  Row("an unknown suberror", "invalid_grant", suberror: "new_thing", .reauth(.grantEnded), "invalid_grant"),
  Row("nothing at all, to a refresh", nil, isEmpty: true, .reauth(.grantEnded), "invalid_grant"),
  Row("a stale assertion", "invalid_grant", codes: [500133], .reauth(.assertionStale), "AADSTS500133"),
  // Nothing a user could do.
  Row(
    "an administrator", "invalid_grant", suberror: "consent_required", codes: [90094], .adminConsent,
    "AADSTS90094"),
  Row("an administrator, as consent", "consent_required", codes: [90095], .adminConsent, "AADSTS90095"),
  Row("declined", "invalid_grant", codes: [65004], .declined, "AADSTS65004"),
  Row("declined, as access_denied", "access_denied", codes: [65004], .declined, "AADSTS65004"),
  Row("access_denied", "access_denied", .blocked, "access_denied"),
  Row("a device", "interaction_required", codes: [53000], .blocked, "AADSTS53000"),
  Row(
    "a device, with claims", "interaction_required", codes: [53000], claims: claims, .claims, "AADSTS53000"),
  Row("a message only", "interaction_required", suberror: "message_only", .blocked, "interaction_required"),
  // Later.
  Row("unavailable", status: 503, nil, .transient(retryAfter: nil), "none"),
  Row(
    "too many", status: 429, "invalid_grant", retryAfter: .seconds(7), .transient(retryAfter: .seconds(7)),
    "invalid_grant"),
  Row(
    "temporarily unavailable", "temporarily_unavailable", .transient(retryAfter: nil),
    "temporarily_unavailable"),
  Row("a server error", status: 500, "server_error", .transient(retryAfter: nil), "server_error"),
  Row("Entra's hiccup", "invalid_grant", codes: [90033], .transient(retryAfter: nil), "AADSTS90033"),
  Row(
    "a loop that Entra sees", "interaction_required", codes: [50196],
    .transient(retryAfter: .seconds(120)),
    "AADSTS50196"),
  // The installation.
  Row("invalid_client", status: 401, "invalid_client", codes: [7000215], .config, "AADSTS7000215"),
  Row("invalid_client without numbers", status: 401, "invalid_client", .config, "invalid_client"),
  Row("invalid_scope", "invalid_scope", codes: [70011], .config, "AADSTS70011"),
  Row("invalid_target", "invalid_target", .config, "invalid_target"),
  Row("unauthorized_client", "unauthorized_client", codes: [700016], .config, "AADSTS700016"),
  Row("an ID token as assertion", "invalid_grant", codes: [240002], .config, "AADSTS240002"),
  Row("another client's token", "invalid_grant", suberror: "client_mismatch", .config, "invalid_grant"),
  Row("nothing at all, to a code", nil, isEmpty: true, grant: .authorizationCode, .config, "none"),
  Row("no error", nil, .config, "none"),
  Row("an error of its own", "x_weird\"<script>", .config, "other"),
  Row("claims that are none", "interaction_required", .stepUp, "interaction_required"),
]

@Suite struct `A refusal of the token endpoint` {
  @Test(arguments: rows)
  private func `is a need by the table`(row: Row) {
    let need = ConsentNeed.from(row.error)
    #expect(need.kind == row.kind)
    #expect(need.code == row.code)
    #expect(need.claims == row.claims)
    #expect(need.source == .tokenEndpoint && need.correlation == "c-1")
    #expect(ConsentNeed.from(OAuthError.tokenEndpoint(row.error)) == need)
  }

  @Test func `with claims that are no object demands no claims`() {
    let error = TokenEndpointError(status: 400, error: "interaction_required", claims: "[1]")
    #expect(ConsentNeed.from(error).kind == .stepUp && ConsentNeed.from(error).claims == nil)
  }

  @Test func `other than in the standard's form is somebody else's fault or time`() {
    func kind(_ error: OAuthError) -> ConsentNeed.Kind { ConsentNeed.from(error).kind }
    #expect(kind(.response(.token, status: 502, .notJSON)) == .transient(retryAfter: nil))
    #expect(kind(.metadata(.status(503))) == .transient(retryAfter: nil))
    #expect(kind(.response(.token, status: 200, .notJSON)) == .config)
    #expect(kind(.metadata(.issuerURL)) == .config)
    #expect(kind(.credential("x")) == .config)
  }

  @Test func `never starts a consent that cannot help`() {
    for row in rows {
      switch row.kind {
      case .adminConsent, .declined, .blocked, .transient, .config:
        #expect(!ConsentNeed.from(row.error).isRepairable)
      case .reauth, .consent, .claims, .stepUp: #expect(ConsentNeed.from(row.error).isRepairable)
      }
    }
  }
}
