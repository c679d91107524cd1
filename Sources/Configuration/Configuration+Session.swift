extension Configuration {
  /// Cookie, lifetimes and storage of sessions.
  public struct Session: Sendable, Hashable {
    /// Name of the cookie as it is sent: with the `__Host-` prefix exactly when ``Configuration/publicURL``
    /// is https.
    public var cookieName = "__Host-coatcheck"
    /// `SameSite` attribute of the cookie.
    public var sameSite = SameSite.lax
    /// A session ends after this time without a request.
    public var idleTimeout = Duration.seconds(8 * 3600)
    /// A session ends this long after sign-in, whatever happens.
    public var absoluteTimeout = Duration.seconds(7 * 86400)
    /// Files with sealing keys: the first seals, all open. Empty: a key is made beside the store at first
    /// start.
    public var encryptionKeyFiles: [String] = []
    /// Where sessions are kept.
    public var store = Store()
    /// ID token claims that `/auth/session` shows to the proxy's own pages.
    public var claims: [String] = []

    /// Values of the `SameSite` attribute, spelled as in `Set-Cookie`.
    public enum SameSite: String, Sendable, CaseIterable {
      case strict = "Strict"
      case lax = "Lax"
      case none = "None"
    }

    /// Where sessions are kept.
    public struct Store: Sendable, Hashable {
      /// Kind of store.
      public var type = Kind.sqlite
      /// The database file; nil: ``defaultPath(environment:)``. Always nil unless ``Kind/sqlite``.
      public var path: String?
      /// The servers; set exactly for ``Kind/redis``.
      public var redis: Redis?
      /// So long signed-in users go on while the store does not answer.
      public var outageGrace = Duration.seconds(600)

      /// Kinds of store.
      public enum Kind: String, Sendable, CaseIterable { case memory, sqlite, redis }

      /// The database file when none is configured: in the first directory of `$STATE_DIRECTORY`
      /// (systemd.exec(5)), else in the working directory.
      public static func defaultPath(environment: [String: String]) -> String {
        let directory = environment["STATE_DIRECTORY"]?.split(separator: ":").first.map(String.init)
        return FilePaths.join(directory ?? "", "coatcheck.db")
      }

      /// The database file in use; nil unless ``Kind/sqlite``.
      public func file(environment: [String: String]) -> String? {
        type == .sqlite ? path ?? Self.defaultPath(environment: environment) : nil
      }

      /// Where the sealing key is made when ``Session/encryptionKeyFiles`` is empty: beside the database, with
      /// its name but ending in `.key`, so that whoever copies `name.db*` does not take the key along. Nil for
      /// ``Kind/memory``, which needs no key file, and ``Kind/redis``, where all proxies need the same.
      public func keyFile(environment: [String: String]) -> String? {
        guard let file = file(environment: environment) else { return nil }
        let name = FilePaths.name(of: file)
        let stem = name.lastIndex(of: ".").map { name[..<$0] } ?? name[...]
        return FilePaths.join(FilePaths.directory(of: file), (stem.isEmpty ? name[...] : stem) + ".key")
      }
    }
  }

  /// Refreshing and revoking of tokens.
  public struct Tokens: Sendable, Hashable {
    /// A token is refreshed in the background when it has less than this left.
    public var refreshBeforeExpiry = Duration.seconds(60)
    /// How long one call of the token endpoint may take.
    public var refreshTimeout = Duration.seconds(10)
    /// Whether the refresh token is revoked at sign-out (RFC 7009).
    public var revokeOnLogout = true
  }
}
