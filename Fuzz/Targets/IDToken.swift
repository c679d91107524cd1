import Basics
import Dispatch
import JSON

@testable import OAuth

extension Target {
  /// An ID token: the input is the token itself, or, on two lines, its header and its claims, which are put into a token whose
  /// signature is taken for good. Whatever is accepted keeps every rule.
  static let idToken = Target("id-token") { input in
    readToken(Secret(bytes: input))
    let parts = input.lines
    guard parts.count == 2 else { return }
    let token = Secret("\(Base64URL.encode(parts[0])).\(Base64URL.encode(parts[1])).c2ln")
    readToken(token)
    guard let signed = try? SignedToken(token) else { return }
    expectEqual(signed.signature, Array("sig".utf8), "the signature is the third part")
    let validator = IDTokenValidator(settings: settings, metadata: metadata, now: now)
    if let algorithm = try? validator.algorithm(of: signed, types: IDTokenValidator.types) {
      expect(settings.allowedAlgorithms.contains(algorithm), "an algorithm is one of those allowed")
      expectEqual(signed.algorithmName, algorithm.rawValue, "an algorithm is the one that is named")
      expect(
        (try? validator.signers(of: signed, algorithm, among: keys)) == nil, "three bytes are no signature")
    }
    guard let claims = try? signed.claims() else { return }
    for expectation in expectations {
      guard
        let good = try? validator.check(claims, signedBy: keys, .es256, expecting: expectation)
      else { continue }
      check(good, claims, expectation)
    }
  }

  private static func readToken(_ token: Secret) {
    let hint = SignedToken.unverifiedClaims(token)
    guard let signed = try? SignedToken(token) else { return }
    expect(hint == nil || (try? signed.claims()) == hint, "claims are read in one way")
    expect(
      token.reveal().hasPrefix(String(decoding: signed.signingInput, as: UTF8.self)),
      "what is signed is in the token")
  }

  private static func check(
    _ good: IDTokenClaims, _ claims: JSONObject, _ expectation: IDTokenExpectation
  ) {
    expectEqual(claims["iss"]?.string, "https://idp.test", "the issuer is the one that was asked")
    expect(good.audience.contains("client"), "the token is for this client")
    expect(
      good.audience.allSatisfy { $0 == "client" || $0 == "friend" }, "the token is for nobody unknown")
    expect(
      good.audience.count == 1 || claims["azp"]?.string == "client", "of several the client is the party")
    expect(good.expiresAt + settings.clockSkew >= now, "the token has not ended")
    expect(good.issuedAt <= now + settings.clockSkew, "the token was made before now")
    expect((1...255).contains(good.subject.utf8.count), "a subject has a length")
    if let nonce = expectation.nonce { expectEqual(good.nonce, nonce, "the nonce is the one that was sent") }
    if let subject = expectation.subject { expectEqual(good.subject, subject, "the subject is the same") }
    if !expectation.requiredACRValues.isEmpty {
      expectEqual(good.acr, "high", "the context is one of those wanted")
    }
    if let maxAge = expectation.maxAge {
      expect((good.authTime ?? now) >= now - maxAge - settings.clockSkew, "the sign-in is new enough")
    }
    _ = good.selected(["iss", "sub", "name"]).serialized()
  }

  private static let now = Timestamp(seconds: 1_800_000_000)
  private static let settings = {
    var settings = ProviderSettings(issuer: "https://idp.test", clientID: "client", authentication: .none)
    settings.trustedAudiences = ["friend"]
    settings.allowedAlgorithms = [.es256, .rs256, .edDSA]
    return settings
  }()
  private static let expectations = [
    IDTokenExpectation(nonce: "n"), IDTokenExpectation(nonce: nil, subject: "user"),
    IDTokenExpectation(nonce: "n", accessToken: Secret("at"), code: Secret("c")),
    IDTokenExpectation(nonce: nil, maxAge: .seconds(60), requiredACRValues: ["high"]),
  ]
  private static let metadata: ProviderMetadata = {
    let document = """
      {"issuer":"https://idp.test","authorization_endpoint":"https://idp.test/a",\
      "token_endpoint":"https://idp.test/t","jwks_uri":"https://idp.test/k"}
      """
    guard let metadata = try? ProviderMetadata(document: Array(document.utf8), settings: settings) else {
      preconditionFailure("the sample is metadata")
    }
    return metadata
  }()
  private static let keys: [VerificationKey] = {
    let set = """
      {"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"ed"},\
      {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",\
      "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"ec"}]}
      """
    let keys = waiting {
      try? await VerificationKey.keys(inSet: Array(set.utf8), allowed: settings.allowedAlgorithms)
    }
    guard let keys, keys.count == 2 else { preconditionFailure("the sample is a key set") }
    return keys
  }()
}

/// The result of asynchronous work, waited for.
func waiting<Value: Sendable>(_ work: @escaping @Sendable () async -> Value) -> Value {
  let (done, result) = (DispatchSemaphore(value: 0), Box<Value>())
  Task {
    let value = await work()
    unsafe result.value = value
    done.signal()
  }
  done.wait()
  guard let value = unsafe result.value else { preconditionFailure("the work has ended") }
  return value
}

/// Handed from a task to who waits for it: written before the semaphore, read behind it.
private final class Box<Value: Sendable>: Sendable {
  nonisolated(unsafe) var value: Value?
}
