import Basics
import Consent
import HTTP
import JSON

@testable import OAuth

extension Target {
  /// What a provider sends besides tokens: discovery document, key set, answers of the token endpoint, and the query of a callback.
  static let providerDocuments = Target("provider-documents") { input in
    readMetadata(input)
    readKeys(input)
    for grant in [GrantType.authorizationCode, .refreshToken, .tokenExchange] {
      for status in [200, 400, 500] { readTokens(input, status, grant) }
    }
    readCallback(input.text)
    let base: JSONObject = ["id_token": ["acr": nil], "a": 1]
    if let merged = ClaimsRequest.merged(base: base, text: input.text) {
      expect((try? JSONValue.parse(merged))?.object != nil, "claims are a JSON object")
    }
  }

  private static func readMetadata(_ input: [UInt8]) {
    for issuer in ["https://idp.test", "http://127.0.0.1:1", "https://login.microsoftonline.com/common/v2.0"]
    {
      let settings = ProviderSettings(issuer: issuer, clientID: "client", authentication: .none)
      do throws(MetadataFault) {
        let metadata = try ProviderMetadata(document: input, settings: settings)
        for url in [metadata.authorizationEndpoint, metadata.tokenEndpoint, metadata.jwksURI] {
          expect(
            url.isSecure || (url.isLoopback && issuer.hasPrefix("http://127")), "endpoints are https: \(url)")
        }
        if metadata.issuerTemplate == nil {
          expectEqual(metadata.issuer, issuer, "the issuer is the one configured")
        }
      } catch { expect(!error.description.isEmpty, "a fault says something") }
    }
  }

  private static func readKeys(_ input: [UInt8]) {
    // Key material is another library's; a few are enough to see that ours hands it over whole.
    guard input.count <= 4096, input.contains(UInt8(ascii: "k")) else { return }
    let keys = waiting {
      try? await VerificationKey.keys(inSet: input, allowed: Set(SigningAlgorithm.allCases))
    }
    guard let keys else { return }
    expect((1...VerificationKey.maxKeys).contains(keys.count), "keys are within their limit")
    for key in keys.prefix(2) {
      for algorithm in SigningAlgorithm.allCases where key.fits(algorithm) {
        expectEqual(algorithm.keyKind, key.kind, "a key fits algorithms of its kind")
        expect(!key.verifies([1, 2, 3], of: [4], by: algorithm), "three bytes are no signature")
      }
    }
  }

  private static func readTokens(_ input: [UInt8], _ status: Int, _ grant: GrantType) {
    let now = Timestamp(seconds: 1_800_000_000)
    // The field is read beside the body.
    let response = FetchResponse(
      status: status, fields: [("Retry-After", input.lines[0].text)], body: input)
    do {
      let tokens = try TokenEndpoint.read(response, grant: grant, now: now)
      expectEqual(status, 200, "tokens come with 200")
      expect(
        tokens.accessToken.reveal().utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a token fits into a line")
      for lifetime in [tokens.expiresIn, tokens.refreshIn] {
        expect((lifetime ?? .zero) >= .zero, "a lifetime is not negative")
      }
      expect(grant != .tokenExchange || tokens.issuedTokenType != nil, "an exchanged token has a type")
    } catch OAuthError.tokenEndpoint(let refusal) {
      expect(refusal.errorCodes.count <= 16, "codes are within their limit")
      expect((refusal.description?.utf8.count ?? 0) <= 1024, "a description is within its limit")
      expect(!refusal.summary.utf8.contains { $0 < 0x20 }, "no control in a line of the log")
      expect(
        (refusal.retryAfter ?? .zero) <= .seconds(3600) && (refusal.retryAfter ?? .zero) >= .zero,
        "a pause is bounded")
      checkNeed(ConsentNeed.from(refusal))
    } catch { expect(!"\(error)".isEmpty, "a fault says something") }
  }

  private static func readCallback(_ query: String) {
    let callback = AuthorizationCallback(query: query)
    if callback.isMalformed {
      expect(callback.code == nil && callback.state == nil, "what is malformed says nothing")
    }
    expect(callback.code == nil || callback.error == nil, "a code or an error")
    if let error = callback.error {
      expect(error.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "an error is a word")
    }
    expect(!(callback.errorDescription ?? "").utf8.contains { $0 < 0x20 }, "no control in a description")
    expect((callback.errorDescription?.utf8.count ?? 0) <= 1024, "a description is within its limit")
  }
}
