/// The sentence that asks a person for consent.
///
/// Names of tools and scopes come from outside and are shown by programs that may read Markdown: they stand in
/// code spans, in which nothing becomes a link, and what could end a span or change the reading of a line is
/// replaced.
public enum ConsentMessage {
  /// Bound of a whole message, in bytes.
  public static let maxBytes = 1024
  /// A longer link is left out, in bytes: a cut one would lead elsewhere.
  public static let maxLinkBytes = 512
  private static let maxNameBytes = 96

  /// The sentence, at most ``maxBytes`` long.
  ///
  /// - Parameters:
  ///   - server: what people call the server: the route's name.
  ///   - tool: the tool, prompt or resource that was called, where there is one.
  ///   - scopes: what is asked for; as many are named as there is room for, the others counted.
  ///   - isStepUp: no scope is missing, the sign-in has to be newer or stronger.
  ///   - link: where consent is given, for answers that have no other place for it. It ends the text.
  public static func text(
    server: String, tool: String?, scopes: [String], isStepUp: Bool = false, link: String? = nil
  ) -> String {
    var text =
      "\(span(server, "The server") { "The server \($0)" }) \(isStepUp ? "needs you to sign in once more" : "needs your consent")"
    text += span(tool ?? "", "") { " for \($0)" }
    var tail = "."
    if let link, link.utf8.count <= maxLinkBytes {
      tail = ". Open this link, \(isStepUp ? "sign in" : "agree") there, then try again: \(link)"
    }
    text += list(scopes, maxBytes: maxBytes - text.utf8.count - tail.utf8.count)
    return text + tail
  }

  /// ` It still asks for: a, b.`, bounded; empty when there are no scopes.
  public static func stillWanted(_ scopes: [String]) -> String {
    let names = list(scopes, maxBytes: maxBytes / 2)
    return names.isEmpty ? "" : " It still asks for\(names)."
  }

  /// `: a, b and 3 more` within `maxBytes`; empty when there are no scopes, or room for none.
  private static func list(_ scopes: [String], maxBytes: Int) -> String {
    let names = scopes.map { span($0, "") { $0 } }.filter { !$0.isEmpty }
    var out = ""
    for (position, name) in names.enumerated() {
      let next = out + (position == 0 ? ": " : ", ") + name
      let left = names.count - position - 1
      let more = left > 0 ? " and \(left) more" : ""
      // The count of the ones left must fit as well, whichever name turns out to be the last.
      guard next.utf8.count + more.utf8.count <= maxBytes else {
        return out.isEmpty ? "" : out + " and \(left + 1) more"
      }
      out = next
    }
    return out
  }

  /// `name` made harmless and put into a sentence as a code span; `empty` when nothing of it can be shown.
  private static func span(_ name: String, _ empty: String, _ phrase: (String) -> String) -> String {
    let plain = neutralised(name)
    return plain.isEmpty ? empty : phrase("`\(plain)`")
  }

  /// `name` without control characters and such that change how text is read, at most ``maxNameBytes`` long.
  static func neutralised(_ name: String) -> String {
    var out = ""
    var length = 0
    var isSpace = true
    for scalar in name.unicodeScalars {
      guard let shown = shown(scalar) else { continue }
      // Spaces at the start and in a row say nothing.
      if shown == " ", isSpace { continue }
      isSpace = shown == " "
      length += UTF8.width(shown)
      guard length <= maxNameBytes else {
        out += "…"
        break
      }
      out.unicodeScalars.append(shown)
    }
    return out.last == " " ? String(out.dropLast()) : out
  }

  /// What stands for a character; nil for nothing.
  private static func shown(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
    switch scalar {
    case "`", "*", "[", "]", "<", ">", "|", "\\", "~", "&": return "?"
    default: break
    }
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator, .spaceSeparator: return " "
    // Marks of direction and invisible characters would let a text look like another one.
    case .format, .privateUse, .unassigned, .surrogate: return nil
    default: return scalar
    }
  }
}
