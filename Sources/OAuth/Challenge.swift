/// One challenge of a `WWW-Authenticate` field (RFC 9110 §11.3): what a resource server demands before it serves.
public struct Challenge: Sendable, Hashable {
  /// A parameter.
  public struct Parameter: Sendable, Hashable {
    /// In lower case.
    public let name: String
    /// Without quotes and escapes.
    public let value: String
  }

  /// The scheme as it was sent, such as `Bearer`.
  public let scheme: String
  /// The single value of schemes that have no parameters.
  public let token68: String?
  /// In order; no name occurs twice.
  public let parameters: [Parameter]

  /// A challenge.
  public init(scheme: String, token68: String? = nil, parameters: [Parameter] = []) {
    self.scheme = scheme
    self.token68 = token68
    self.parameters = parameters
  }

  /// All challenges of these `WWW-Authenticate` field values, in order.
  ///
  /// Read are RFC 9110 §11.3 lists with quoted strings, empty elements and several schemes in a field, and the form of
  /// Microsoft.Identity.Web that puts raw JSON in quotes. A challenge with a parameter twice is left out; what cannot be read ends
  /// its field. Bounds: 16 fields, 16 KiB in all, 32 challenges, 32 parameters each; what is beyond is not read.
  public static func parse(_ fields: [String]) -> [Challenge] {
    var out: [Challenge] = []
    var left = maxBytes
    for field in fields.prefix(maxFields) {
      left -= field.utf8.count
      guard left >= 0 else { break }
      var parser = ChallengeParser(field)
      out += parser.challenges(limit: maxChallenges - out.count)
    }
    return out
  }

  private static let maxBytes = 16 << 10
  private static let maxFields = 16
  private static let maxChallenges = 32
}
