internal import Basics
internal import JSON

// Every key of the file. Reading, messages, schema, reference and complete example are made from these
// tables.

extension Configuration {
  static var section: Section<Configuration> {
    Section(Configuration()) { make in
      [
        make.ignored(
          "$schema", .line("the place of a JSON Schema"), example: "./proxy.schema.json",
          "For editors only: where they find the schema that `coatcheck schema` prints."),
        make.required(
          "listen", \.listen, .listen, example: "0.0.0.0:8443",
          """
          Where clients connect to. Without `tls` it must be a loopback address, unless \
          `trusted_proxies` names the proxies in front: a ticket must not cross a network in the clear.
          """
        ),
        make.required(
          "public_url", \.publicURL,
          .secureURL("browsers would send their ticket in the clear").demanding { url in
            url.path == "/" ? nil : "must be an origin: scheme, host and port without a path"
          }, example: "https://mcp.example.com",
          """
          The origin under which browsers reach the proxy. Redirect URI, cookie and checks of `Origin` \
          follow from it, never from what a request says. `http` is accepted for loopback hosts only; \
          the cookie then has no `__Host-` prefix.
          """
        ),
        make.value(
          "trusted_proxies", \.trustedProxies, Form<AddressBlock>.addressBlock.list(),
          example: ["10.0.0.0/8"],
          """
          Addresses of proxies in front of this one. Forwarding fields (`X-Forwarded-For`, `Forwarded`) \
          are believed from them only. Without `tls`, connections from anywhere but here and loopback \
          are closed.
          """
        ),
        make.optional(
          "workers", \.workers, .number(1...256), otherwise: "the number of cores", example: 2,
          "How many event loops serve clients."),
        make.optionalSection(
          "tls", \.tls, TLS.section, otherwise: "plain HTTP",
          """
          TLS in front. Certificates and keys are read again when their files change, and at SIGHUP: connections \
          go on, new ones get the new certificate. A pair that is not sound changes nothing and is told in the log.
          """),
        make.providers(
          "oidc", \.providers,
          """
          The OpenID provider, and this proxy's registration with it; or a list of several, each with a `name`. \
          See [providers.md](providers.md).
          """),
        make.list(
          "routes", \.routes, of: Route.section, minimum: 1,
          moreExamples: [
            [
              "path": "/files", "upstream": "http://127.0.0.1:3001/mcp", "scope": "files.read files.write",
            ],
            [
              "path": "/", "upstream": "http://127.0.0.1:3002", "authorization": "none",
              "session": "optional",
            ],
          ],
          """
          What is forwarded where. The longest `path` that fits wins; what fits none is answered with \
          404. `/auth/` and `/.well-known/` belong to the proxy itself.
          """
        ),
        make.section(
          "session", \.session, Session.section, "The browser's ticket, and what is kept behind it."),
        make.section("tokens", \.tokens, Tokens.section, "Refreshing and revoking of tokens."),
        make.section(
          "consent", \.consent, Consent.section,
          "What happens when an upstream or the provider asks for the user's consent."),
        make.section("csrf", \.csrf, CSRF.section, "Which pages may call."),
        make.section("streams", \.streams, Streams.section, "Server-sent events."),
        make.section("timeouts", \.timeouts, Timeouts.section, "How long anything may take."),
        make.section(
          "limits", \.limits, Limits.section,
          "How large or how many anything may be. Numbers of connections count all workers together."),
        make.optionalSection(
          "admin", \.admin, Admin.section, otherwise: "no such listener",
          "A listener for health checks and metrics."),
        make.section(
          "log", \.log, Log.section,
          "What is logged. Never a token, cookie, code or secret."),
      ]
    }
  }
}

extension Configuration.TLS {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.required(
          "certificate_file", \.certificateFile, .file, example: "/etc/coatcheck/tls.crt",
          "PEM file with the certificate and the chain up to a root."),
        make.required(
          "private_key_file", \.privateKeyFile, .file, example: "/etc/coatcheck/tls.key",
          "PEM file with the private key."),
        make.optional(
          "ocsp_response_file", \.ocspResponseFile, .file, otherwise: "none",
          example: "/etc/coatcheck/tls.ocsp", ocspMeaning),
        make.value(
          "min_version", \.minVersion, .word, "The oldest version of TLS that is spoken."),
        make.list(
          "certificates", \.certificates, of: Pair.section,
          "Further certificates, chosen by the name that the client asks for (SNI)."),
        make.value(
          "reload_interval", \.reloadInterval, .duration(.zero ... .seconds(86400)),
          """
          How often the files of certificates, keys and authorities are looked at, also those that lead to \
          upstreams and the provider. A change is taken up at the second look that finds it. `0s`: only \
          SIGHUP reads them again. Without `tls` it is 10 s. The same holds for \
          `session.encryption_key_files`.
          """
        ),
      ]
    }
  }

  static let ocspMeaning = """
    DER file with an OCSP response about the certificate, shown to clients that ask (stapling). The \
    authority's certificate has to stand in `certificate_file` too. Another program fetches it; one that is not \
    current is not shown, and told in the log.
    """
}

extension Configuration.TLS.Pair {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.required(
          "certificate_file", \.certificateFile, .file, example: "/etc/coatcheck/other.crt",
          "PEM file with the certificate and the chain up to a root."),
        make.required(
          "private_key_file", \.privateKeyFile, .file, example: "/etc/coatcheck/other.key",
          "PEM file with the private key."),
        make.optional(
          "ocsp_response_file", \.ocspResponseFile, .file, otherwise: "none",
          example: "/etc/coatcheck/other.ocsp", Configuration.TLS.ocspMeaning),
      ]
    }
  }
}

extension Configuration.Admin {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.required(
          "listen", \.listen, .listen, example: "127.0.0.1:9090",
          """
          Where `/healthz`, `/readyz`, `/metrics` and `/tool-scopes` are served, without TLS and without a \
          sign-in, and `/sessions` to who shows the token of `token_file`. Keep it away from the public.
          """
        ),
        make.optional(
          "token_file", \.tokenFile, .file, otherwise: "nobody sees or ends sessions there",
          example: "/etc/coatcheck/admin.token",
          """
          File with the token that `coatcheck sessions` and other tools of operators show for `/sessions`: \
          one line of at least 32 characters, as `coatcheck key` prints it. Only its owner and its group may \
          be able to read it.
          """
        ),
      ]
    }
  }
}

extension Configuration.Log {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "level", \.level, .word, "The least important message that is written. Access lines are `info`."),
        make.value("format", \.format, .word, "One JSON object a line, or text for people."),
      ]
    }
  }
}
