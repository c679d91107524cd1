internal import Basics
internal import JSON
internal import OAuth

/// What an error says, gathered from all the places where servers put it, before it is judged.
///
/// Codes are taken only from members and places where codes stand; everything else is prose. Depth and number
/// of what is looked at are bounded.
struct ErrorFacts {
  /// Codes as they were written, in order.
  private(set) var codes: [String] = []
  private(set) var scopes: [String] = []
  private(set) var claims: String?
  private(set) var acrValues: [String] = []
  private(set) var maxAge: Int?
  private(set) var link: String?
  private(set) var entraCodes: [Int] = []
  private(set) var correlation: String?
  private(set) var challenges: [Challenge] = []
  /// Texts of which only the scope and link may be taken, once a code was found elsewhere.
  private var texts: [String] = []

  private static let maxDepth = 3
  private static let maxCodes = 16
  private static let maxEntries = 16

  // MARK: Gathering

  /// Members of an error object, or a text that may hold one.
  mutating func add(_ value: JSONValue, depth: Int = 0) {
    switch value {
    case .object(let object): add(object, depth: depth)
    case .string(let text) where depth == 0: add(text: text)
    default: break
    }
  }

  private mutating func add(_ object: JSONObject, depth: Int) {
    guard depth < Self.maxDepth else { return }
    for key in ["error", "suberror", "code", "reason", "error_code", "errorCode", "type"] {
      addCode(object[key])
    }
    for key in ["scope", "scopes", "required_scopes", "requiredScopes", "missing_scopes", "missingScopes"] {
      if let text = object[key]?.string { scopes += ScopeList.parse(text) }
      if let list = object[key]?.strings { scopes += list.prefix(ScopeList.maxScopes) }
    }
    if claims == nil { claims = Self.claims(object["claims"]) }
    if acrValues.isEmpty {
      acrValues = object["acr_values"]?.string.map(ScopeList.parse) ?? object["acr_values"]?.strings ?? []
    }
    if maxAge == nil, let age = object["max_age"]?.int64, age >= 0 { maxAge = Int(exactly: age) }
    for key in Self.linkKeys where link == nil { link = object[key]?.string.flatMap(ConsentLink.safe) }
    for code in (object["error_codes"]?.array ?? []).prefix(Self.maxCodes) {
      if let code = code.int64.flatMap({ Int(exactly: $0) }) { entraCodes.append(code) }
    }
    for key in ["error_description", "message", "detail"] {
      guard let text = object[key]?.string else { continue }
      entraCodes += ErrorText.segments(text).compactMap(EntraCode.number)
    }
    if correlation == nil { correlation = object["correlation_id"]?.string.map { String($0.prefix(64)) } }
    for key in ["error", "data", "result", "details", "detail"] {
      switch object[key] {
      case .object(let inner)?: add(inner, depth: depth + 1)
      // Google's `error.details`.
      case .array(let list)?:
        for case .object(let inner) in list.prefix(Self.maxEntries) { add(inner, depth: depth + 1) }
      default: break
      }
    }
  }

  private static let linkKeys = [
    "consent_url", "consentUrl", "consent_uri", "consentUri", "consent_link", "consentLink",
    "interaction_url",
    "authorization_url", "authorizationUrl", "url",
    // Foundry's errors: the message is the link and nothing else.
    "message",
  ]

  /// A code, when the value is a short text without spaces.
  mutating func addCode(_ value: JSONValue?) {
    guard let text = value?.string, text.utf8.count <= 64, codes.count < Self.maxCodes else { return }
    codes.append(text)
  }

  /// A text for people: codes at its start, a JSON object inside.
  mutating func add(text: String) {
    guard !text.isEmpty else { return }
    for segment in ErrorText.segments(text) where codes.count < Self.maxCodes {
      if let number = EntraCode.number(segment) {
        entraCodes.append(number)
      } else {
        codes.append(String(segment))
      }
    }
    if let object = ErrorText.embeddedObject(text) { add(object, depth: 0) } else { texts.append(text) }
  }

  /// Challenges in `_meta["mcp/www_authenticate"]`: one text or a list of them, each like a
  /// `WWW-Authenticate` field.
  mutating func add(challengesIn meta: JSONValue?) {
    guard let value = meta?["mcp/www_authenticate"] else { return }
    challenges += Challenge.parse(value.string.map { [$0] } ?? value.strings ?? [])
  }

  /// Claims as an object, as its text, or as base64 of it.
  static func claims(_ value: JSONValue?) -> String? {
    switch value {
    case .object(let object)? where !object.isEmpty:
      let text = JSONValue.object(object).serialized()
      return text.utf8.count <= ClaimsRequest.maxBytes ? text : nil
    case .string(let text)?:
      if ClaimsRequest.object(text) != nil { return text }
      guard text.utf8.count <= ClaimsRequest.maxBytes * 2, let bytes = Base64.decodeLenient(text),
        let decoded = String(validating: bytes, as: UTF8.self), ClaimsRequest.object(decoded) != nil
      else { return nil }
      return decoded
    default: return nil
    }
  }

  // MARK: Judging

  /// The scopes and the link, from members or, where these name none, from the texts.
  func found(providerOrigins: Set<String>) -> (scopes: [String], link: String?) {
    var scopes = self.scopes
    var link = self.link
    for text in texts {
      if scopes.isEmpty { scopes = ErrorText.scopes(text) }
      if link == nil { link = ErrorText.link(text).flatMap(ConsentLink.safe) }
    }
    if scopes.isEmpty, let link { scopes = ConsentLink.scopes(of: link, providerOrigins: providerOrigins) }
    return (scopes, link)
  }

  /// The need these facts amount to; nil when no code among them demands anything.
  ///
  /// - Parameter isTurnedAway: the status says that the request did not run.
  func need(
    source: ConsentNeed.Source, providerOrigins: Set<String>, isTurnedAway: Bool
  ) -> ConsentNeed? {
    // 401 stands for "as a challenge would be read"; the message had HTTP status 200.
    if var need = ConsentNeed.from(challenges: challenges, status: 401), need.kind != .reauth(.tokenRejected)
    {
      need.source = source
      need.isUnexecuted = isTurnedAway
      return need
    }
    guard let (kind, code) = kind else { return nil }
    let (scopes, link) = found(providerOrigins: providerOrigins)
    // An Entra error without scopes comes from the upstream's own on-behalf-of call, and one of Google's from a
    // call of the upstream to Google, unless the upstream is what turned the token away.
    let isForeign = !entraCodes.isEmpty || code == Self.googleScope && !(source == .body && isTurnedAway)
    return ConsentNeed(
      kind, source: source, code: code, scopes: scopes, claims: claims, acrValues: acrValues, maxAge: maxAge,
      target: scopes.isEmpty && (link != nil || isForeign) ? .downstream : .upstream, link: link,
      correlation: correlation, isUnexecuted: isTurnedAway)
  }

  /// Google's reason for a token without the scope a method needs (`google.rpc.ErrorInfo`).
  private static let googleScope = "access_token_scope_insufficient"

  private var kind: (ConsentNeed.Kind, String)? {
    let names = codes.map(Self.normalised)
    func has(_ name: String) -> Bool { names.contains(name) }
    let entra = entraCodes.lazy.compactMap { code in EntraCode.meaning(code).map { ($0, code) } }.first
    let entraName = entra.map { "AADSTS\($0.1)" }
    // What no consent page can repair comes first: it would only go round in circles.
    if has("invalidclient") { return nil }
    switch entra?.0 {
    case .adminConsent?: return (.adminConsent, entraName ?? "")
    case .declined?: return (.declined, entraName ?? "")
    case .transient?: return (.transient(retryAfter: nil), entraName ?? "")
    case .loop?: return (.transient(retryAfter: EntraCode.loopPause), entraName ?? "")
    case .config?: return nil
    case .device? where claims == nil: return (.blocked, entraName ?? "")
    default: break
    }
    if has("adminconsentrequired") { return (.adminConsent, "admin_consent_required") }
    if has("messageonly"), claims == nil { return (.blocked, "message_only") }
    if has("insufficientclaims") { return claims == nil ? nil : (.claims, "insufficient_claims") }
    if has("insufficientuserauthentication") || has("insufficientauthenticationcontext") {
      return (.stepUp, "insufficient_user_authentication")
    }
    if has("mfarequired") { return (.stepUp, "mfa_required") }
    if has("interactionrequired") {
      if claims != nil { return (.claims, "interaction_required") }
      let isConsent = has("consentrequired") || entra?.0 == .consent || !scopes.isEmpty
      return (isConsent ? .consent : .stepUp, "interaction_required")
    }
    if has("consentrequired") { return (.consent, "consent_required") }
    if has("insufficientscope") { return (.consent, "insufficient_scope") }
    if has("accesstokenscopeinsufficient") { return (.consent, Self.googleScope) }
    if has("oauthconsentrequest"), link != nil { return (.consent, "oauth_consent_request") }
    switch entra?.0 {
    case .consent?: return (.consent, entraName ?? "")
    case .stepUp?, .device?: return (claims == nil ? .stepUp : .claims, entraName ?? "")
    default: return nil
    }
  }

  /// `consent_required`, `CONSENT_REQUIRED`, `ConsentRequired` and `consent-required` are one code.
  private static func normalised(_ code: String) -> String {
    String(
      decoding: code.utf8.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") }.map(ASCII.lowercased),
      as: UTF8.self)
  }
}
