internal import Basics
internal import JSON

extension Configuration.Consent {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "link_lifetime", \.linkLifetime, .duration(.seconds(10) ... .seconds(3600)),
          """
          How long a link that leads to the consent page works. Each works once, for the user it was made \
          for.
          """
        ),
        make.value(
          "max_rounds", \.maxRounds, .number(1...10),
          """
          How often in a row a user is sent to the provider for the same tool and scopes before a page says \
          that it does not help.
          """
        ),
        make.value(
          "script_status", \.scriptStatus,
          Form<Int>.number(200...403).demanding {
            [200, 401, 403].contains($0) ? nil : "must be 200, 401 or 403"
          },
          """
          Status of the answer to a page's script: 403, 401 or 200. With 200 the script gets what an MCP \
          client would get. MCP clients always get 200, since some end at any other status.
          """
        ),
        make.value(
          "hold", \.hold, .duration(.zero ... .seconds(50)),
          """
          How long a call that an MCP client sends again before the user has consented is held open. When \
          the consent is given meanwhile it goes through, else there is a fresh link. `0s`: not at all.
          """
        ),
        make.value(
          "kept_calls", \.keptCalls, .number(0...64),
          """
          Refused calls of pages' scripts that are kept for one user, sealed, until a page fetches their \
          answer from `/auth/continue`. `0`: none, pages repeat their calls themselves.
          """
        ),
        make.value(
          "kept_call_size", \.keptCallSize, .size(1 << 10...4 << 20),
          "The longest body of a refused call that is kept."),
        make.value(
          "require_pre_consent", \.requirePreConsent, .truth,
          """
          Compare the scopes of a user's token with those that the call needs (the `scope` of the route and \
          `tool_scopes`) before anything goes upstream, and ask for consent at once where one is missing.
          """
        ),
        make.list(
          "tool_scopes", \.toolScopes, of: ToolScope.section,
          """
          The scopes that methods and tools need beyond the `scope` of their route. Used with \
          `require_pre_consent`.
          """
        ),
        make.value(
          "learn_tool_scopes", \.learnToolScopes, .truth,
          """
          Whether the scopes that upstreams demand for a tool are remembered as its `tool_scopes`, for all \
          users. What was learned is shown, and forgotten, at `/tool-scopes` of the `admin` listener.
          """
        ),
        make.value(
          "codes", \.codes, Form<Int>.number(.any).list(),
          example: [-32050],
          "JSON-RPC error codes of upstreams that mean \"consent required\", besides the well-known ones."),
      ]
    }
  }
}

extension Configuration.Consent.ToolScope {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.optional(
          "route", \.route, .line("the path of a route"), otherwise: "every route", example: "/mcp",
          "`path` of the route."),
        make.optional(
          "method", \.method, .word("an MCP method", limit: 128), otherwise: "`tools/call`",
          example: "tools/call", "The MCP method."),
        make.optional(
          "tool", \.tool, .line("the name of a tool or prompt, or the URI of a resource"),
          otherwise: "all of the method", example: "send_mail",
          "Name of the tool or prompt, or the URI of the resource."),
        make.required(
          "scope", \.scope, .words("scopes separated by single spaces, none twice"), example: "mail.send",
          "The scopes."),
      ]
    }
  }
}

extension Configuration.ConsentRule {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.required(
          "code", \.code, Form<String>.pointer.list(minimum: 1),
          example: ["/error/data/code", "/result/structuredContent/error/code"],
          """
          JSON pointers (RFC 6901) to the code, tried in order: in the JSON-RPC message, and in the text of \
          a tool result where that is a JSON object.
          """
        ),
        make.required(
          "values", \.values,
          Form<String>.line("a code as text, such as \"NEEDS_CONSENT\" or \"4711\"").list(minimum: 1),
          example: ["NEEDS_CONSENT"],
          "The codes that mean it. Numbers are written as text."),
        make.optional(
          "scopes", \.scopes, .pointer, otherwise: "where they are usually found",
          example: "/error/data/requiredScopes",
          "JSON pointer to the scopes: a list, or a text with blanks or commas between them."),
        make.optional(
          "link", \.link, .pointer, otherwise: "where it is usually found", example: "/error/data/consentUrl",
          "JSON pointer to a link of the upstream's."),
        make.optional(
          "claims", \.claims, .pointer, otherwise: "where they are usually found",
          example: "/error/data/claims", "JSON pointer to a claims request: an object, or its text."),
        make.value(
          "unexecuted", \.unexecuted, .truth,
          """
          Whether such an answer proves that the call was not carried out. Only then is it sent again by the \
          proxy itself.
          """
        ),
        make.value(
          "target", \.target, .word,
          """
          Whose grant is missing: `upstream`: this proxy's, for the upstream; `downstream`: the upstream's \
          own, for a service behind it.
          """
        ),
      ]
    }
  }
}

extension Configuration.Exchange {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "form", \.form, .word,
          """
          `token_exchange` (RFC 8693), or `on_behalf_of` for Microsoft Entra ID (RFC 7523 with \
          `requested_token_use`).
          """
        ),
        make.optional(
          "subject_scope", \.subjectScope, .words("scopes separated by single spaces, none twice"),
          otherwise: "none", example: "api://coatcheck/access_as_user",
          "Scopes that the token to be exchanged is asked with. Its audience must be this proxy's client."),
        make.optional(
          "subject_resource", \.subjectResource, .resource, otherwise: "no such parameter",
          example: "https://mcp.example.com/", "`resource` of the token to be exchanged (RFC 8707)."),
        make.value(
          "subject_token", \.subjectToken, .word,
          "Which of the user's tokens is exchanged. `on_behalf_of` takes access tokens only."),
        make.value(
          "audience", \.audience, Form<String>.word("the name of an audience").list(),
          example: ["tools"], "`audience` parameters (RFC 8693)."),
        make.optional(
          "actor_token_file", \.actorTokenFile, .file, otherwise: "no actor token",
          example: "/var/run/secrets/actor/token",
          "File with the token of the acting party (RFC 8693), read for each exchange."),
      ]
    }
  }
}

extension Form where Value == String {
  /// A host's name or address alone.
  static var hostName: Form<String> {
    text(
      "the name of a host such as \"consent.example.com\", without scheme, port and path",
      pattern: "^[A-Za-z0-9._-]+$"
    ) { text in
      let isGood = text.utf8.allSatisfy { ASCII.isLetter($0) || ASCII.isDigit($0) || "._-".utf8.contains($0) }
      return isGood && !text.isEmpty && text.utf8.count <= 253 ? text : nil
    } write: {
      $0
    }
  }

  /// A JSON pointer that is not the whole document.
  static var pointer: Form<String> {
    text(
      "a JSON pointer, which begins with a slash, such as \"/error/data/code\"",
      pattern: "^(/([^~/]|~0|~1)*)+$"
    ) { text in
      guard text.hasPrefix("/"), text.utf8.count <= 256 else { return nil }
      let isGood = text.split(separator: "~", omittingEmptySubsequences: false).dropFirst()
        .allSatisfy { $0.hasPrefix("0") || $0.hasPrefix("1") }
      return isGood ? text : nil
    } write: {
      $0
    }
  }

  /// A `resource` parameter (RFC 8707 §2).
  static var resource: Form<String> {
    text(
      "an absolute URI without a fragment, at most 2048 bytes",
      pattern: "^[A-Za-z][A-Za-z0-9+.-]*:[!\"$-~]+$"
    ) {
      isResource($0) ? $0 : nil
    } write: {
      $0
    }
  }

  private static func isResource(_ text: String) -> Bool {
    guard text.utf8.count <= 2048, let colon = text.firstIndex(of: ":"), let first = text.utf8.first,
      ASCII.isLetter(first)
    else { return false }
    let scheme = text[..<colon].utf8.allSatisfy {
      ASCII.isLetter($0) || ASCII.isDigit($0) || "+-.".utf8.contains($0)
    }
    let rest = text[text.index(after: colon)...].utf8
    return scheme && !rest.isEmpty && rest.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }
  }
}
