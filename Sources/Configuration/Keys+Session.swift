internal import Basics
internal import JSON

extension Configuration.Session {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "cookie_name", \.cookieName, .token("the name of a cookie"),
          """
          Name of the one cookie that browsers keep. With an https `public_url` it must begin with \
          `__Host-`; with http that prefix is taken off.
          """
        ),
        make.value(
          "same_site", \.sameSite, .word,
          """
          `SameSite` attribute of the cookie. `None` is for pages of other sites that are listed in \
          `csrf.allowed_origins`, and needs https.
          """
        ),
        make.value(
          "idle_timeout", \.idleTimeout, .duration(.seconds(1) ... .seconds(365 * 86400)),
          "A session ends after this time without a request."),
        make.value(
          "absolute_timeout", \.absoluteTimeout, .duration(.seconds(1) ... .seconds(365 * 86400)),
          "A session ends this long after sign-in, whatever happens. At least `idle_timeout`."),
        make.optional(
          "encryption_key_files", \.encryptionKeyFiles, Form<String>.file.list(minimum: 1),
          otherwise: "a key is made beside the store at first start", example: ["/etc/coatcheck/session.key"],
          """
          Files with keys that `coatcheck key` made. The first seals what is stored, all open it. They, and this \
          key of the configuration, are read again like certificates: see `tls.reload_interval`. To change the key, \
          put the new one in front; when the log says that everything stored is sealed under it, take the old \
          one away. Nobody is signed out. `docs/sealing.md` has the steps, also for several proxies at one store.
          """
        ),
        make.section("store", \.store, Store.section, "Where sessions are kept."),
        make.value(
          "claims", \.claims, Form<String>.line("the name of a claim", limit: 128).list(), example: ["email"],
          "ID token claims that `/auth/session` shows to the proxy's own pages."),
      ]
    }
  }
}

extension Configuration.Session.Store {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "type", \.type, .word,
          """
          `sqlite`: sessions survive a restart. `redis`: they also do not depend on one proxy: all that share it serve \
          them. `memory`: they end with the process, and no file is written.
          """
        ),
        make.optional(
          "path", \.path, .file,
          otherwise: "`coatcheck.db` in `$STATE_DIRECTORY`, else in the working directory",
          example: "/var/lib/coatcheck/coatcheck.db",
          "The database file, for `sqlite`. Its directory must exist."),
        make.optionalSection(
          "redis", \.redis, Redis.section, otherwise: "none", isInExample: false,
          "Redis 7 or Valkey, for `redis`. `session.encryption_key_files` is needed then, the same for all proxies."
        ),
        make.value(
          "outage_grace", \.outageGrace, .duration(.zero ... .seconds(86_400)),
          """
          So long people who are signed in go on when the store does not answer. Who signs in meanwhile is told to \
          come back later.
          """
        ),
      ]
    }
  }
}

extension Configuration.Tokens {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "refresh_before_expiry", \.refreshBeforeExpiry, .duration(.zero ... .seconds(3600)),
          "A token with less than this left is refreshed in the background."),
        make.value(
          "refresh_timeout", \.refreshTimeout, .duration(.milliseconds(100) ... .seconds(120)),
          "How long one call of the token endpoint may take."),
        make.value(
          "revoke_on_logout", \.revokeOnLogout, .truth,
          "Whether sign-out revokes the refresh token where the provider can (RFC 7009)."),
      ]
    }
  }
}

extension Configuration.CSRF {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "allowed_origins", \.allowedOrigins, Form<String>.origin.list(),
          example: ["https://app.example.com"],
          """
          Origins whose pages may call, besides the proxy's own, which always may. They get CORS \
          answers. `*` is refused.
          """
        )
      ]
    }
  }
}

extension Form where Value == String {
  /// A serialised origin, brought to the form that browsers send.
  static var origin: Form<String> {
    let shape = Shape.text(
      says: "an origin such as \"https://app.example.com\": https (http for loopback hosts), a host, no path",
      pattern: "^[Hh][Tt][Tt][Pp][Ss]?://[^/]+$")
    return Form<String>(shape: shape) { node, path, reading in
      if case .string(let text) = node.content {
        if text.contains("*") {
          reading.note(
            path, "must not have wildcards: every origin that may call with a user's ticket is named")
          return nil
        }
        if let url = WebURL(text), url.path == "/", !text.hasSuffix("/"), url.isSecure || url.isLoopback {
          return url.origin
        }
      }
      return reading.refuse(node, path, shape)
    } write: {
      .string($0)
    }
  }
}
