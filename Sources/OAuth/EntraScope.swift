/// Scopes as Microsoft Entra ID writes them: `<resource>/<name>`, the resource being what stands before the last slash
/// (*Scopes and permissions in the Microsoft identity platform*).
public enum EntraScope {
  /// OpenID Connect's own, which belong to every resource's call.
  private static let openID: Set<String> = ["openid", "profile", "email", "offline_access"]
  /// A scope without resource means Microsoft Graph, which has these names.
  private static let graph: Set<String> = [
    "https://graph.microsoft.com", "https://graph.microsoft.us", "https://dod-graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
  ]

  /// The resource of `scope`: `api://<id>` of `api://<id>/read`. Nil for a scope that names none.
  public static func resource(of scope: String) -> String? {
    guard let slash = scope.lastIndex(of: "/"), scope.index(after: slash) != scope.endIndex else {
      return nil
    }
    let resource = scope[..<slash]
    // What remains of `api://<id>`, where the last slash is the scheme's.
    guard !resource.isEmpty, !resource.hasSuffix(":/"), !resource.hasSuffix("://") else { return nil }
    return String(resource)
  }

  /// The scopes that name no resource and are not OpenID Connect's: Entra takes them for Microsoft Graph's, which is hardly what was
  /// meant. Empty when all is well.
  public static func unqualified(_ scopes: [String]) -> [String] {
    scopes.filter { !openID.contains($0) && resource(of: $0) == nil }
  }

  /// `scopes` without those of all resources but one, in order: a token is for one resource. OpenID Connect's scopes stay.
  ///
  /// - Parameter preferring: resources, or scopes of them, the most wanted first. When none of them occurs, the first resource in
  ///   `scopes` is taken.
  public static func oneResource(_ scopes: [String], preferring: [String]) -> [String] {
    let named = scopes.filter { !openID.contains($0) }
    let groups = named.map { group(of: $0) }
    let wanted =
      preferring.lazy.map { key($0) }.first { groups.contains($0) }
      ?? preferring.lazy.map { group(of: $0) }.first { groups.contains($0) }
      ?? groups.first
    return scopes.filter { openID.contains($0) || group(of: $0) == wanted }
  }

  /// What `scope` shares with all scopes of its resource.
  private static func group(of scope: String) -> String { resource(of: scope).map { key($0) } ?? "" }

  private static func key(_ resource: String) -> String { graph.contains(resource) ? "" : resource }
}
