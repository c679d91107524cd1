internal import Basics
internal import HTTP
internal import JSON

/// Reading what the token endpoint answers (RFC 6749 §5). Pure.
enum TokenEndpoint {
  /// Longest body, in bytes.
  static let maxBytes = 256 << 10
  private static let maxTokenBytes = 64 << 10
  private static let maxRetryAfter = Duration.seconds(3600)
  /// Longer lifetimes mean nothing different.
  private static let maxLifetime: Int64 = 10 * 365 * 86_400

  /// The tokens in `response`, or why there are none.
  static func read(_ response: FetchResponse, grant: GrantType, now: Timestamp) throws(OAuthError)
    -> TokenResponse
  {
    func fault(_ fault: OAuthError.ResponseFault) -> OAuthError {
      .response(.token, status: response.status, fault)
    }
    guard response.body.count <= maxBytes else { throw fault(.tooLong(limit: maxBytes)) }
    let object = (try? JSONValue.parse(response.body, limits: JSONLimits(depth: 32, bytes: maxBytes)))?.object
    guard response.status == 200 else {
      guard response.status >= 400 else { throw fault(.status) }
      throw .tokenEndpoint(refusal(response, object, grant, now))
    }
    guard let object else { throw fault(.notJSON) }
    if object["access_token"] == nil, object["error"] != nil {
      throw .tokenEndpoint(refusal(response, object, grant, now))
    }
    guard let accessToken = object["access_token"]?.string, isTokenText(accessToken) else {
      throw fault(.member("access_token"))
    }
    guard let type = object["token_type"]?.string else { throw fault(.member("token_type")) }
    // Anything else would have to be presented in another way than a bearer token (RFC 6749 §7.1).
    guard ASCII.equalsIgnoringCase(type, "Bearer") else { throw fault(.tokenType) }
    var issued: ExchangeRequest.TokenType?
    if grant == .tokenExchange {
      issued = object["issued_token_type"]?.string.flatMap { ExchangeRequest.TokenType(rawValue: $0) }
      // Required (RFC 8693 §2.2.1), and an ID token is for no upstream.
      guard issued == .accessToken || issued == .jwt else { throw fault(.member("issued_token_type")) }
    }
    return TokenResponse(
      accessToken: Secret(accessToken), tokenType: type, expiresIn: duration(object["expires_in"]),
      refreshIn: duration(object["refresh_in"]), refreshToken: secret(object["refresh_token"]),
      idToken: secret(object["id_token"]), scope: scope(object["scope"]),
      issuedTokenType: issued)
  }

  private static func refusal(
    _ response: FetchResponse, _ object: JSONObject?, _ grant: GrantType, _ now: Timestamp
  ) -> TokenEndpointError {
    func text(_ name: String, limit: Int = 1024) -> String? {
      object?[name]?.string.flatMap { ErrorText.clean($0, limit: limit) }
    }
    func code(_ name: String) -> String? {
      object?[name]?.string.flatMap { ErrorText.isCode($0) ? $0 : nil }
    }
    return TokenEndpointError(
      status: response.status, error: code("error"), description: text("error_description"),
      suberror: code("suberror") ?? code("error_subtype"),
      errorCodes: (object?["error_codes"]?.array ?? []).prefix(16).compactMap {
        $0.int64.flatMap { Int(exactly: $0) }
      },
      claims: claims(object?["claims"]), errorURI: text("error_uri", limit: 2048),
      correlationID: code("correlation_id"), retryAfter: retryAfter(response, now),
      isEmptyBody: response.body.isEmpty, grant: grant)
  }

  /// Claims come as JSON text in a string; an object is turned into that.
  private static func claims(_ value: JSONValue?) -> String? {
    let text: String? =
      switch value {
      case .string(let text)?: text
      case .object(let object)? where !object.isEmpty: JSONValue.object(object).serialized()
      default: nil
      }
    return text.flatMap { $0.isEmpty || $0.utf8.count > 8 << 10 ? nil : $0 }
  }

  /// RFC 9110 §10.2.3: seconds or a date.
  static func retryAfter(_ response: FetchResponse, _ now: Timestamp) -> Duration? {
    guard let text = response.first("Retry-After") else { return nil }
    if !text.isEmpty, text.utf8.allSatisfy(ASCII.isDigit) {
      return min(Int64(text).map { .seconds($0) } ?? maxRetryAfter, maxRetryAfter)
    }
    return Timestamp(httpDate: text).map { min(max($0 - now, .zero), maxRetryAfter) }
  }

  private static func duration(_ value: JSONValue?) -> Duration? {
    // Some providers send the number as text.
    let seconds =
      value?.int64 ?? value?.double.flatMap { Int64(exactly: $0.rounded(.down)) }
      ?? value?.string.flatMap { Int64($0) }
    return seconds.flatMap { $0 < 0 ? nil : .seconds(min($0, maxLifetime)) }
  }

  private static func secret(_ value: JSONValue?) -> Secret? {
    guard let text = value?.string, !text.isEmpty, text.utf8.count <= maxTokenBytes else { return nil }
    return Secret(text)
  }

  private static func scope(_ value: JSONValue?) -> [String]? {
    // An empty text says as little as no member at all.
    guard let text = value?.string else { return value?.strings }
    let words = text.split(separator: " ").map(String.init)
    return words.isEmpty ? nil : words
  }

  /// Whether `text` can stand in an `Authorization` line: visible ASCII only, so that no token can end the line.
  private static func isTokenText(_ text: String) -> Bool {
    (1...maxTokenBytes).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
  }
}
