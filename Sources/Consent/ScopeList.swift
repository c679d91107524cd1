/// Lists of OAuth scopes (RFC 6749 §3.3): ordered, nothing twice, nothing malformed, bounded.
public enum ScopeList {
  /// More scopes than this are dropped: no consent page shows them.
  public static let maxScopes = 128
  /// A longer scope is dropped. Resource identifiers with a path stay well below.
  public static let maxScopeBytes = 512

  /// All scopes of `lists`, each once, in the order of their first appearance. What is not a scope token is
  /// dropped.
  public static func union(_ lists: [String]...) -> [String] { union(lists) }

  /// All scopes of `lists`, each once, in the order of their first appearance.
  public static func union(_ lists: [[String]]) -> [String] {
    var seen: Set<String> = []
    var out: [String] = []
    for list in lists {
      for scope in list where out.count < maxScopes && isToken(scope) && seen.insert(scope).inserted {
        out.append(scope)
      }
    }
    return out
  }

  /// The scopes in a text, separated by spaces as RFC 6749 says, or by commas as Microsoft.Identity.Web
  /// writes them.
  public static func parse(_ text: String) -> [String] {
    guard text.utf8.count <= maxScopes * (maxScopeBytes + 1) else { return [] }
    return union(text.split { $0 == " " || $0 == "," || $0 == "\t" || $0 == "\n" }.map(String.init))
  }

  /// The scopes of `wanted` that `granted` does not have. A provider may name in its answer `files.read` what was asked for as
  /// `api://tools/files.read`: a token is for one resource.
  public static func missing(_ wanted: [String], from granted: [String]) -> [String] {
    let granted = Set(granted)
    return union(
      wanted.filter { scope in
        if granted.contains(scope) { return false }
        guard let slash = scope.lastIndex(of: "/") else { return true }
        return !granted.contains(String(scope[scope.index(after: slash)...]))
      })
  }

  /// `%x21 / %x23-5B / %x5D-7E`, at least one.
  public static func isToken(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= maxScopeBytes
      && text.utf8.allSatisfy {
        $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
      }
  }
}
