internal import Basics

/// Client authentication by the token of a workload identity, which the platform writes into a file and replaces from time to time
/// (RFC 7523 §2.2; Entra *workload identity federation*, `AZURE_FEDERATED_TOKEN_FILE`).
public enum WorkloadIdentity {
  /// Longest file, in bytes. Tokens have one or two thousand.
  public static let maxBytes = 16 << 10

  /// Authentication with what stands in the file at the time of each request; nothing is kept, since the file is rotated.
  ///
  /// - Parameters:
  ///   - path: the file, a JWT and maybe white space around it.
  ///   - reader: reads a file whole. It is called for every request, so it must not block a loop.
  public static func authentication(
    file path: String, reader: @escaping @Sendable (String) async throws -> [UInt8]
  ) -> ClientAuthentication {
    .federatedAssertion { try await assertion(in: path, reader) }
  }

  private static func assertion(
    in path: String, _ reader: @Sendable (String) async throws -> [UInt8]
  ) async throws(WorkloadIdentityError) -> Secret {
    let bytes: [UInt8]
    do { bytes = try await reader(path) } catch {
      throw WorkloadIdentityError(
        path: path,
        reason: "\(error); mount the platform's token there, readable for this process, or name another file")
    }
    guard bytes.count <= maxBytes else {
      throw WorkloadIdentityError(
        path: path, reason: "longer than \(maxBytes) bytes; name the file that holds the token alone")
    }
    let isSpace: (UInt8) -> Bool = { $0 <= 0x20 }
    guard let first = bytes.firstIndex(where: { !isSpace($0) }),
      let last = bytes.lastIndex(where: { !isSpace($0) })
    else {
      throw WorkloadIdentityError(
        path: path, reason: "empty; see whether the platform still writes the token")
    }
    let token = bytes[first...last]
    guard token.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw WorkloadIdentityError(
        path: path, reason: "not one token; name the file that holds the token alone")
    }
    return Secret(bytes: Array(token))
  }
}

/// Why a workload identity's token is not to be had. Names the file, never what stands in it.
public struct WorkloadIdentityError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file.
  public let path: String
  /// What is wrong and what to do.
  public let reason: String

  public var description: String { "workload identity file \(path): \(reason)" }
}
