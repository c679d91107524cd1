internal import HTTP

/// Fetches the provider's public documents. Redirects are not followed: a document is taken from where it should be.
struct DocumentLoader: Sendable {
  let settings: ProviderSettings
  let transport: any HTTPTransport

  /// The discovery document, checked.
  func metadata() async throws(OAuthError) -> ProviderMetadata {
    let url: URLReference
    do { url = try ProviderMetadata.documentURL(settings) } catch { throw .metadata(error) }
    let response = try await get(url, .discovery)
    guard response.status == 200 else { throw .metadata(.status(response.status)) }
    do { return try ProviderMetadata(document: response.body, settings: settings) } catch {
      throw .metadata(error)
    }
  }

  /// The keys of the set at `url`.
  func keys(at url: URLReference) async throws(OAuthError) -> [VerificationKey] {
    let response = try await get(url, .keys)
    guard response.status == 200 else { throw .keys(.status(response.status)) }
    do {
      return try await VerificationKey.keys(inSet: response.body, allowed: settings.allowedAlgorithms)
    } catch { throw .keys(error) }
  }

  private func get(_ url: URLReference, _ endpoint: OAuthError.Endpoint) async throws(OAuthError)
    -> FetchResponse
  {
    do {
      return try await transport.send(FetchRequest(url: url, fields: [("Accept", "application/json")]))
    } catch {
      throw .transport(error, endpoint)
    }
  }
}
