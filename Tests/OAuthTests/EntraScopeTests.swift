import JSON
import Testing

@testable import OAuth

@Suite struct EntraScopeTests {
  @Test(
    arguments: [
      ("api://mcp/read", "api://mcp"), ("api://mcp/.default", "api://mcp"),
      ("https://graph.microsoft.com/User.Read", "https://graph.microsoft.com"),
      ("https://res.example/app/read", "https://res.example/app"),
      ("https://res.example//read", "https://res.example/"),
      ("11111111-2222-3333-4444-555555555555/.default", "11111111-2222-3333-4444-555555555555"),
      ("openid", nil), ("User.Read", nil), ("api://mcp", nil), ("https://res.example", nil),
      ("api://mcp/", nil),
      ("api:///read", nil), ("/read", nil), ("/", nil), ("", nil),
    ] as [(String, String?)])
  func `a scope's resource stands before its last slash`(_ scope: String, _ resource: String?) {
    #expect(EntraScope.resource(of: scope) == resource)
  }

  @Test func `unqualified scopes are named, OpenID Connect's are not`() {
    #expect(
      EntraScope.unqualified([
        "openid", "api://m/x", "read", "offline_access", "mail.send", "email", "profile",
      ])
        == ["read", "mail.send"])
    #expect(EntraScope.unqualified([]) == [])
  }

  private static let mixed = [
    "openid", "api://a/x", "User.Read", "api://b/y", "offline_access", "api://a/z",
    "https://graph.microsoft.com/Mail.Read",
  ]

  @Test(
    arguments: [
      ([], ["openid", "api://a/x", "offline_access", "api://a/z"]),
      (["api://b"], ["openid", "api://b/y", "offline_access"]),
      (["api://none", "api://b"], ["openid", "api://b/y", "offline_access"]),
      (["api://b/y"], ["openid", "api://b/y", "offline_access"]),
      (["openid", "api://a"], ["openid", "api://a/x", "offline_access", "api://a/z"]),
      (
        ["https://graph.microsoft.com"],
        ["openid", "User.Read", "offline_access", "https://graph.microsoft.com/Mail.Read"]
      ),
      (["https://mcp.example/mcp"], ["openid", "api://a/x", "offline_access", "api://a/z"]),
    ] as [([String], [String])])
  func `one resource remains`(_ preferring: [String], _ expected: [String]) {
    #expect(EntraScope.oneResource(Self.mixed, preferring: preferring) == expected)
  }

  @Test func `scopes without any resource stay`() {
    #expect(EntraScope.oneResource(["openid", "email"], preferring: ["api://a"]) == ["openid", "email"])
    #expect(EntraScope.oneResource(["User.Read", "openid"], preferring: []) == ["User.Read", "openid"])
    #expect(EntraScope.oneResource([], preferring: ["api://a"]) == [])
  }

  @Test(arguments: [
    ("https://login.microsoftonline.com/common/v2.0", ProviderProfile.entra),
    ("https://login.microsoftonline.us/x/v2.0", .entra),
    ("https://login.partner.microsoftonline.cn/x/v2.0", .entra), ("https://id.example", .standard),
    ("https://login.microsoftonline.com.evil.example/x", .standard),
    ("http://login.microsoftonline.com/x", .standard),
  ]) func `the issuer's address tells the profile`(_ issuer: String, _ profile: ProviderProfile) {
    #expect(ProviderProfile.of(issuer: issuer) == profile)
    #expect(ProviderSettings(issuer: issuer, clientID: "c", authentication: .none).profile == profile)
  }
}
