internal import Basics
internal import HTTP

/// Names and attributes of the cookies the proxy sets: one for the session and, while a sign-in is under way, one for each attempt.
///
/// All are `HttpOnly`, `Path=/`, without `Domain`, and over https `Secure` with the `__Host-` prefix, which a sibling host
/// cannot forge (RFC 6265bis §4.1.3.2). Values are random; nothing is stored in the browser.
struct CookieJar: Sendable {
  /// Attempts kept at once; the oldest goes first. Bounds the request header (RFC 6265 §6.1).
  static let maxAttempts = 5

  let sessionName: String
  let sessionNameBytes: [UInt8]
  private let attemptPrefix: String
  private let isSecure: Bool
  private let sameSite: SetCookie.SameSite
  private let attemptLifetime: Duration

  /// - Parameters:
  ///   - isSecure: the public URL is https.
  ///   - sessionName: the configured name, already carrying its prefix.
  init(isSecure: Bool, sessionName: String, sameSite: SetCookie.SameSite, attemptLifetime: Duration) {
    self.sessionName = sessionName
    sessionNameBytes = Array(sessionName.utf8)
    attemptPrefix = (isSecure ? "__Host-" : "") + "coatcheck-tx-"
    self.isSecure = isSecure
    self.sameSite = sameSite
    self.attemptLifetime = attemptLifetime
  }

  /// RFC 9110 §11.6.1 wants a challenge on 401. It is not `Bearer`: that would start an OAuth client that can get nowhere here.
  func challenge(realm: String) -> String {
    "Cookie realm=\"\(realm)\", form-action=\"/auth/login\", cookie-name=\"\(sessionName)\""
  }

  /// Whether a `Set-Cookie` value sets one of our cookies: an upstream may not plant them.
  ///
  /// Read by bytes, as browsers read it (RFC 6265bis §5.6): white space around the name does not count, and a cookie without a name
  /// is sent back as its value alone, which may then look like one of ours.
  func isOwn(_ setCookie: String) -> Bool {
    var pair = setCookie.utf8.prefix { $0 != UInt8(ascii: ";") }
    while true {
      let name = pair.prefix { $0 != UInt8(ascii: "=") }.filter { $0 != 0x20 && $0 != 0x09 }
      guard name.isEmpty, name.count < pair.count else {
        return name == sessionNameBytes || name.starts(with: attemptPrefix.utf8)
      }
      pair = pair.drop { $0 != UInt8(ascii: "=") }.dropFirst()
    }
  }

  /// No `Max-Age`: the cookie ends with the browser, the session ends at the server.
  func session(_ ticket: Secret) -> String {
    line(sessionName, ticket.reveal(), sameSite, maxAge: nil)
  }

  func expiredSession() -> String { line(sessionName, "", sameSite, maxAge: .zero) }

  /// A new attempt's short name: sorts by time, so the oldest can be told without a server-side list.
  func newAttempt(now: Timestamp) -> String {
    let time = String(UInt64(max(0, now.milliseconds)), radix: 36)
    return time + "-" + RandomBytes.token(bits: 48).filter { $0.isLetter || $0.isNumber }
  }

  /// `Lax`: the provider's answer arrives as a top-level GET and must bring it along.
  func attempt(_ name: String, value: Secret) -> String {
    line(attemptPrefix + name, value.reveal(), .lax, maxAge: attemptLifetime)
  }

  func expiredAttempt(_ name: String) -> String {
    line(attemptPrefix + name, "", .lax, maxAge: .zero)
  }

  /// The value an attempt's cookie was sent with.
  func attemptValue(_ name: String, in cookies: [(name: String, value: String)]) -> String? {
    cookies.first { $0.name == attemptPrefix + name }?.value
  }

  /// Attempts to expire so that one more fits.
  func surplusAttempts(in cookies: [(name: String, value: String)]) -> [String] {
    let names = cookies.filter { $0.name.hasPrefix(attemptPrefix) }.map {
      String($0.name.dropFirst(attemptPrefix.count))
    }
    .filter {
      $0.utf8.count <= 64 && $0.utf8.allSatisfy { ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == 0x2D }
    }
    let surplus = names.count - (CookieJar.maxAttempts - 1)
    return surplus > 0 ? Array(names.sorted().prefix(surplus)) : []
  }

  private func line(_ name: String, _ value: String, _ sameSite: SetCookie.SameSite, maxAge: Duration?)
    -> String
  {
    guard var cookie = SetCookie(name: name, value: value) else {
      // Names are validated with the configuration, values are base64url.
      preconditionFailure("a cookie of our own that no cookie can be")
    }
    cookie.isSecure = isSecure
    cookie.sameSite = sameSite
    cookie.maxAge = maxAge
    return cookie.text
  }
}
