internal import Crypto

/// Response fields that keep own answers from being stored, framed, sniffed or leaked by `Referer`.
enum SecurityFields {
  static let noStore: [(name: String, value: String)] = [
    ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff"),
  ]

  /// For JSON answers. `Vary` because the same URL answers differently to another cookie or origin.
  static let api: [(name: String, value: String)] = noStore + [("Vary", "Cookie, Origin")]

  /// For pages: nothing may run or load but the one style sheet, nobody may frame them (RFC 9700 §4.16).
  static func page(formTargets: [String]) -> [(name: String, value: String)] {
    let forms = (["'self'"] + formTargets).joined(separator: " ")
    let policy =
      "default-src 'none'; style-src '\(styleHash)'; form-action \(forms); base-uri 'none'; frame-ancestors 'none'"
    return [
      ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
      // Not `no-referrer`: with it a browser sends `Origin: null` with our own sign-out form.
      ("Referrer-Policy", "same-origin"), ("Content-Security-Policy", policy), ("X-Frame-Options", "DENY"),
      ("Vary", "Cookie"),
      ("Cross-Origin-Opener-Policy", "same-origin"), ("Permissions-Policy", "interest-cohort=()"),
    ]
  }

  /// For the page that the provider shows in a frame when it signs somebody out: the provider's pages alone may.
  static func framedPage(by origins: [String]) -> [(name: String, value: String)] {
    let frames = origins.isEmpty ? "'none'" : origins.joined(separator: " ")
    return [
      ("Cache-Control", "no-cache, no-store"), ("Pragma", "no-cache"), ("X-Content-Type-Options", "nosniff"),
      ("Referrer-Policy", "no-referrer"),
      (
        "Content-Security-Policy",
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors \(frames)"
      ),
    ]
  }

  /// CSP Level 3 §2.3.1: the hash of the inline style's bytes.
  private static let styleHash = "sha256-" + base64(SHA256.hash(data: Array(PageStyle.css.utf8)))

  private static func base64(_ digest: SHA256.Digest) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".unicodeScalars)
    var text = ""
    var buffer = 0
    var bits = 0
    for byte in digest {
      buffer = (buffer << 8) | Int(byte)
      bits += 8
      while bits >= 6 {
        bits -= 6
        text.unicodeScalars.append(alphabet[(buffer >> bits) & 63])
      }
    }
    if bits > 0 { text.unicodeScalars.append(alphabet[(buffer << (6 - bits)) & 63]) }
    while text.utf8.count % 4 != 0 { text += "=" }
    return text
  }
}
