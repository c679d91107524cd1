internal import Basics
internal import HTTP

/// Links an upstream names: which of them may be shown, and what they say.
enum ConsentLink {
  private static let maxBytes = 4096

  /// `text` when it is a URL with `https`, or with `http` on this machine; nil for anything else
  /// (`javascript:`…).
  static func safe(_ text: String) -> String? {
    guard text.utf8.count <= maxBytes, let url = URLReference(text), url.isSecure || url.isLoopback else {
      return nil
    }
    return text
  }

  /// The scopes an authorization request asks for, when it goes to our own provider. A stranger's scopes mean
  /// nothing there.
  static func scopes(of text: String, providerOrigins: Set<String>) -> [String] {
    guard !providerOrigins.isEmpty, text.utf8.count <= maxBytes, let url = URLReference(text),
      providerOrigins.contains(url.origin), let query = url.query
    else { return [] }
    return PercentEncoding.parseQuery(query).first { $0.0 == "scope" }.map { ScopeList.parse($0.1) } ?? []
  }
}
