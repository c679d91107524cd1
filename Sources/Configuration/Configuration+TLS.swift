extension Configuration {
  /// TLS in front.
  public struct TLS: Sendable, Hashable {
    /// PEM file with the certificate and the chain up to a root.
    public var certificateFile = ""
    /// PEM file with its private key.
    public var privateKeyFile = ""
    /// The oldest version that is spoken.
    public var minVersion = Version.tls12
    /// Further certificates, chosen by the name that the client asks for (SNI).
    public var certificates: [Pair] = []

    /// A certificate with its key.
    public struct Pair: Sendable, Hashable {
      /// PEM file with the certificate and the chain up to a root.
      public var certificateFile = ""
      /// PEM file with its private key.
      public var privateKeyFile = ""
    }

    /// Versions of TLS.
    public enum Version: String, Sendable, CaseIterable {
      case tls12 = "1.2"
      case tls13 = "1.3"
    }
  }
}
