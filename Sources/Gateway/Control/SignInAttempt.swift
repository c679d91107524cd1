internal import Basics
internal import JSON
internal import Sessions

/// One walk to the provider and back, kept at the server between the redirect and the callback (RFC 9700 §4.7).
///
/// It is stored sealed under the hash of its cookie's random value, lives ten minutes and is taken once. Nothing else of it is in the
/// browser, so a callback works only in the browser that started it.
struct SignInAttempt: Sendable {
  /// What the walk is for.
  enum Purpose: Sendable, Equatable {
    case signIn
    /// More consent for one route's token, asked by a session that exists.
    case consent(Consent)
  }

  struct Consent: Sendable, Hashable {
    /// The session that asked.
    var session: TicketHash
    /// Who asked, as `UserKey.digest`: the same person must come back.
    var user: Bytes32
    /// Path of the route: its place in the configuration may be another one after a restart.
    var route: String
    /// What the upstream asked for, without what was granted before.
    var scopes: [String]
    var claims: String?
    var acrValues: [String]
    var maxAge: Int?
    var prompt: String?
    /// What was called: a tool, a prompt, a resource.
    var tool: String?
    /// The link that led here; nil for a page that was sent to the provider at once.
    var ask: TicketHash?
    /// `scopes` alone are asked for, besides those of the sign-in: they stand for all others (Entra's `.default`).
    var isWhole = false
  }

  /// How long the person may take.
  static let lifetime = Duration.seconds(600)

  /// The short name of the attempt's cookie.
  var cookieName: String
  /// What must come back as `state`; compared in constant time.
  var state: Secret
  var nonce: String
  var codeVerifier: Secret
  /// Recorded before the redirect, compared with `iss` after it (RFC 9207).
  var issuer: String
  /// What the configuration calls the provider that was asked; nil: the attempt is from before providers had names.
  var provider: String?
  /// A path of this origin.
  var returnTo: String
  /// What was asked at the authorization endpoint.
  var scope: [String]
  /// The resource that the code will be redeemed for.
  var resource: String?
  var purpose: Purpose

  /// Asked for everything that an upstream's registration names.
  var isWhole: Bool {
    if case .consent(let consent) = purpose { return consent.isWhole }
    return false
  }

  /// The stored form.
  func encoded() -> [UInt8] {
    var members: [(String, JSONValue)] = [
      ("cookie", .string(cookieName)), ("state", .string(state.reveal())), ("nonce", .string(nonce)),
      ("verifier", .string(codeVerifier.reveal())), ("issuer", .string(issuer)),
      ("return_to", .string(returnTo)),
      ("scope", .array(scope.map { .string($0) })),
    ]
    if let provider { members.append(("provider", .string(provider))) }
    if let resource { members.append(("resource", .string(resource))) }
    if case .consent(let consent) = purpose { members.append(("consent", consent.json)) }
    return JSONValue.object(JSONObject(members)).serializedBytes()
  }

  /// Reads the stored form; nil when it is not one.
  init?(encoded: [UInt8]) {
    guard let value = try? JSONValue.parse(encoded), let cookieName = value["cookie"]?.string,
      let state = value["state"]?.string, let nonce = value["nonce"]?.string,
      let verifier = value["verifier"]?.string, let issuer = value["issuer"]?.string,
      let returnTo = value["return_to"]?.string, let scope = value["scope"]?.strings
    else { return nil }
    self.cookieName = cookieName
    self.state = Secret(state)
    self.nonce = nonce
    codeVerifier = Secret(verifier)
    self.issuer = issuer
    self.returnTo = returnTo
    self.scope = scope
    provider = value["provider"]?.string
    resource = value["resource"]?.string
    if let consent = value["consent"] {
      guard let parsed = Consent(json: consent) else { return nil }
      purpose = .consent(parsed)
    } else {
      purpose = .signIn
    }
  }

  init(
    cookieName: String, state: Secret, nonce: String, codeVerifier: Secret, issuer: String,
    provider: String? = nil, returnTo: String, scope: [String], resource: String?, purpose: Purpose
  ) {
    self.cookieName = cookieName
    self.state = state
    self.nonce = nonce
    self.codeVerifier = codeVerifier
    self.issuer = issuer
    self.provider = provider
    self.returnTo = returnTo
    self.scope = scope
    self.resource = resource
    self.purpose = purpose
  }
}

extension SignInAttempt.Consent {
  /// For the log.
  var subject: ConsentSubject { ConsentSubject(scopes: scopes, route: route, tool: tool) }

  /// The sign-in has to be stronger or newer, or bring certain claims.
  var isStepUp: Bool { claims != nil || !acrValues.isEmpty || maxAge != nil }

  var json: JSONValue {
    var members: [(String, JSONValue)] = [
      ("session", .string(Base64URL.encode(session.digest.bytes))),
      ("user", .string(Base64URL.encode(user.bytes))),
      ("route", .string(route)), ("scopes", .array(scopes.map { .string($0) })),
      ("acr_values", .array(acrValues.map { .string($0) })),
    ]
    if let claims { members.append(("claims", .string(claims))) }
    if let maxAge { members.append(("max_age", .number(JSONNumber(maxAge)))) }
    if let prompt { members.append(("prompt", .string(prompt))) }
    if let tool { members.append(("tool", .string(tool))) }
    if let ask { members.append(("ask", .string(Base64URL.encode(ask.digest.bytes)))) }
    if isWhole { members.append(("whole", true)) }
    return .object(JSONObject(members))
  }

  init?(json: JSONValue) {
    guard let session = json["session"]?.string.flatMap(Base64URL.decode).flatMap({ Bytes32($0) }),
      let user = json["user"]?.string.flatMap(Base64URL.decode).flatMap({ Bytes32($0) }),
      let route = json["route"]?.string, let scopes = json["scopes"]?.strings,
      let acrValues = json["acr_values"]?.strings
    else { return nil }
    self.init(
      session: TicketHash(digest: session), user: user, route: route, scopes: scopes,
      claims: json["claims"]?.string, acrValues: acrValues,
      maxAge: json["max_age"]?.int64.flatMap { Int(exactly: $0) }, prompt: json["prompt"]?.string,
      tool: json["tool"]?.string,
      ask: json["ask"]?.string.flatMap(Base64URL.decode).flatMap { Bytes32($0) }.map {
        TicketHash(digest: $0)
      }, isWhole: json["whole"] == true)
  }
}
