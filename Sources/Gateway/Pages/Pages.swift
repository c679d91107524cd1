/// The pages a person can meet: each is one whole document without script and without anything from elsewhere.
///
/// They tell what happened and what to do next. Nothing a provider or an upstream sent is shown as markup, and an error
/// page carries the request id that the log line has too.
enum Pages {
  /// What the account page tells about the person signed in.
  struct Account {
    var name: String
    var username: String?
    var issuer: String
    var signedInAt: String
    var endsAt: String
    /// One entry a route with a token: its path and the scopes that token carries.
    var grants: [(route: String, scopes: [String])]
    /// What was agreed to, one by one.
    var given: [Given]
    var notice: String?

    /// A consent that can be taken back.
    struct Given {
      var key: String
      var server: String
      var scopes: [String]
      var tool: String?
      var at: String
    }
  }

  /// `/auth/` for somebody who is signed in.
  static func account(_ account: Account) -> String {
    let grants: [HTML] = account.grants.map { grant in
      let scopes: HTML =
        grant.scopes.isEmpty
        ? "<span class=\"note\">not used yet</span>"
        : HTML.joined(grant.scopes.enumerated().map { "\($0 > 0 ? "<br>" as HTML : "")<code>\($1)</code>" })
      return "<dt><code>\(grant.route)</code></dt><dd>\(scopes)</dd>"
    }
    let notice: HTML = account.notice.map { "<p role=\"status\"><strong>\($0)</strong></p>" } ?? ""
    let username: HTML = account.username.map { "<dt>User name</dt><dd>\($0)</dd>" } ?? ""
    return document(
      title: "You are signed in",
      body: """
        <h1>You are signed in</h1>\(notice)
        <dl><dt>Name</dt><dd>\(account.name)</dd>\(username)<dt>Signed in by</dt><dd>\(account.issuer)</dd>\
        <dt>Since</dt><dd>\(account.signedInAt)</dd><dt>Until at most</dt><dd>\(account.endsAt)</dd></dl>
        <h2>What you allowed</h2>
        \(account.grants.isEmpty ? "<p class=\"note\">No server behind this address uses a token of yours.</p>" as HTML : "<dl>\(HTML.joined(grants))</dl>" as HTML)
        \(consents(account.given))
        <p class="note">Servers act as you with these permissions only. Tokens stay on this server and never reach your browser.</p>
        <div class="actions"><form method="post" action="/auth/logout"><button type="submit">Sign out</button></form>\
        <a class="button quiet" href="/">Go to the start page</a></div>
        """)
  }

  private static func consents(_ given: [Account.Given]) -> HTML {
    if given.isEmpty { return "" }
    let rows: [HTML] = given.map { entry in
      let scopes = HTML.joined(entry.scopes.map { "<code>\($0)</code> " })
      let asker: HTML = entry.tool.map { "<code>\($0)</code> of \(entry.server)" } ?? "\(entry.server)"
      return """
        <dt>\(entry.at)</dt><dd>\(asker): \(scopes)<form method="post" action="/auth/revoke">\
        <input type="hidden" name="consent" value="\(entry.key)">\
        <button class="quiet" type="submit">Take back</button></form></dd>
        """
    }
    return "<h2>When you allowed more</h2><dl>\(HTML.joined(rows))</dl>"
  }

  /// `/auth/` for somebody who is not signed in.
  static func signedOut(notice: String?) -> String {
    document(
      title: notice ?? "You are signed out",
      body: """
        <h1>\(notice ?? "You are signed out")</h1>
        <p>Sign in to let the servers behind this address act as you.</p>
        <div class="actions"><a class="button" href="/auth/login?return_to=%2Fauth%2F">Sign in</a></div>
        """)
  }

  /// Where to sign in, when there are several places.
  static func choice(_ providers: [(title: String, href: String)]) -> String {
    let links: [HTML] = providers.map { "<a class=\"button\" href=\"\($0.href)\">\($0.title)</a>" }
    return document(
      title: "Sign in",
      body: """
        <h1>Where do you sign in?</h1>
        <p>Servers behind this address act as you once you are signed in. Choose the account that they know you by.</p>
        <div class="actions">\(HTML.joined(links))</div>
        """)
  }

  /// What went wrong, in plain words, with a next step.
  static func problem(
    title: String, explanation: String, requestID: String, action: (label: String, href: String)? = nil
  ) -> String {
    let link: HTML =
      action.map { "<div class=\"actions\"><a class=\"button\" href=\"\($0.href)\">\($0.label)</a></div>" }
      ?? ""
    return document(
      title: title,
      body: """
        <h1>\(title)</h1><p>\(explanation)</p>\(link)
        <p class="note">If you ask for help, name this request: <code>\(requestID)</code></p>
        """)
  }

  static func document(title: String, body: HTML) -> String {
    let page: HTML = """
      <!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">\
      <title>\(title)</title>
      """
    // The style goes in as it is: its hash stands in the policy, so not a byte may change.
    let html: HTML = """
      </head><body><main>\(body)</main><footer>Coatcheck keeps your tokens behind the counter.</footer></body></html>
      """
    return page.markup + "<style>" + PageStyle.css + "</style>" + html.markup
  }
}
