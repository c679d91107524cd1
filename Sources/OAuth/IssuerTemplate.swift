internal import Basics

/// An issuer with a place for the tenant, as Entra's multi-tenant metadata has it:
/// `https://login.microsoftonline.com/{tenantid}/v2.0`.
struct IssuerTemplate: Sendable, Hashable {
  private static let tenantVariable = "{tenantid}"
  /// Names that stand for "any tenant" in a configured issuer.
  private static let commonNames = ["common", "organizations"]

  let prefix: String
  let suffix: String

  /// Nil when `text` names no tenant variable: a plain issuer.
  init?(_ text: String) {
    guard let range = text.firstRange(of: Self.tenantVariable) else { return nil }
    prefix = String(text[..<range.lowerBound])
    suffix = String(text[range.upperBound...])
  }

  /// The issuer of one tenant.
  func issuer(tenant: String) -> String { prefix + tenant + suffix }

  /// The tenant that `issuer` names, when it fits the template and the tenant is a GUID.
  func tenant(in issuer: String) -> String? {
    guard issuer.hasPrefix(prefix), issuer.hasSuffix(suffix),
      issuer.utf8.count == prefix.utf8.count + suffix.utf8.count + 36
    else { return nil }
    let tenant = String(issuer.dropFirst(prefix.count).dropLast(suffix.count))
    return Self.isGUID(tenant) ? tenant : nil
  }

  /// Whether `configured` is the address under which a provider serves metadata with this template.
  func isServed(at configured: String) -> Bool {
    Self.commonNames.contains { issuer(tenant: $0) == configured }
  }

  /// Whether `text` is a GUID in its usual form of 8-4-4-4-12 hexadecimal digits.
  static func isGUID(_ text: String) -> Bool {
    let groups = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    return groups.map(\.count) == [8, 4, 4, 4, 12] && groups.joined().allSatisfy { ASCII.hexValue($0) != nil }
  }
}
