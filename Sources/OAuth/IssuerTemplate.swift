internal import Basics

/// An issuer with a place for the tenant, as Entra's multi-tenant metadata has it:
/// `https://login.microsoftonline.com/{tenantid}/v2.0`.
struct IssuerTemplate: Sendable, Hashable {
  private static let tenantVariable = "{tenantid}"
  /// The tenant of personal Microsoft accounts.
  static let consumerTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

  /// Names that stand for "any tenant" in a configured issuer.
  enum CommonName: String, CaseIterable {
    case common, organizations
  }

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
    CommonName.allCases.contains { isServed(at: configured, as: $0) }
  }

  /// Whether `configured` is the address for the tenants that `name` stands for.
  func isServed(at configured: String, as name: CommonName) -> Bool {
    issuer(tenant: name.rawValue) == configured
  }

  /// The tenant in an issuer of Entra's; nil when there is none or it stands there by a name.
  static func tenant(ofEntra issuer: String) -> String? {
    let parts = issuer.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.count > 3, let tenant = String(parts[3]), isGUID(tenant) else { return nil }
    return tenant
  }

  /// Whether `text` is a GUID in its usual form of 8-4-4-4-12 hexadecimal digits.
  static func isGUID(_ text: String) -> Bool {
    let groups = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    return groups.map(\.count) == [8, 4, 4, 4, 12] && groups.joined().allSatisfy { ASCII.hexValue($0) != nil }
  }
}
