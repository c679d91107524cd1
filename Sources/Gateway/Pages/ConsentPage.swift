/// The page behind a consent link: tells the person who asks for what, and lets them decide before they leave for the provider.
struct ConsentPage {
  var server: String
  /// What was called; nil: not known.
  var tool: String?
  var scopes: [String]
  /// No scope is missing: the sign-in has to be stronger or newer.
  var isStepUp: Bool
  /// Everything that the server's registration names is asked for.
  var isWhole: Bool
  /// Who is signed in, as they know themselves.
  var user: String
  /// Host of the provider.
  var provider: String
  /// The upstream's own page, where consent is given instead.
  var upstreamLink: String?
  /// Where the decision goes.
  var action: String

  /// The whole document.
  var html: String {
    let title = isStepUp ? "Please sign in once more" : "Your consent is needed"
    let asker: HTML =
      tool.map { "<strong>\(server)</strong> needs it for <code>\($0)</code>." }
      ?? "<strong>\(server)</strong> needs it for what you just did."
    return Pages.document(
      title: title,
      body: """
        <h1>\(title)</h1>
        <p>\(asker)</p>\(what)
        <p class="note">You are signed in as \(user). If you did not expect this, decline: nothing happens then.</p>
        \(next)
        """)
  }

  private var what: HTML {
    if isStepUp { return "<p>It wants a newer or a stronger sign-in than yours.</p>" }
    if isWhole { return "<p>It asks for the permissions that its operator registered.</p>" }
    if scopes.isEmpty, upstreamLink != nil { return "" }
    if scopes.isEmpty { return "<p>It does not say which permission it lacks.</p>" }
    let rows = HTML.joined(scopes.map { "<li><code>\($0)</code></li>" })
    return "<p>It asks for:</p><ul>\(rows)</ul>"
  }

  private var next: HTML {
    let decline: HTML =
      "<button class=\"quiet\" type=\"submit\" name=\"decision\" value=\"decline\">Decline</button>"
    guard let upstreamLink else {
      return """
        <form method="post" action="\(action)"><div class="actions">\
        <button type="submit" name="decision" value="continue">Continue to \(provider)</button>\(decline)</div></form>
        """
    }
    return """
      <p>It is given on a page of the server's own: <a href="\(upstreamLink)" target="_blank" rel="noopener noreferrer">\(upstreamLink)</a></p>
      <form method="post" action="\(action)"><div class="actions">\
      <button type="submit" name="decision" value="done">I have done it</button>\(decline)</div></form>
      """
  }
}
