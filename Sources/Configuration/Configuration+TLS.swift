extension Configuration {
  /// How often certificate files are looked at for changes, with TLS in front or without; zero: never.
  public var certificateInterval: Duration { (tls ?? TLS()).reloadInterval }

  /// TLS in front.
  public struct TLS: Sendable, Hashable {
    /// PEM file with the certificate and the chain up to a root.
    public var certificateFile = ""
    /// PEM file with its private key.
    public var privateKeyFile = ""
    /// DER file with an OCSP response about the certificate, to be shown to clients; nil: none.
    public var ocspResponseFile: String?
    /// The oldest version that is spoken.
    public var minVersion = Version.tls12
    /// Further certificates, chosen by the name that the client asks for (SNI).
    public var certificates: [Pair] = []
    /// How often certificate files are looked at for changes; zero: never.
    public var reloadInterval = Duration.seconds(10)

    /// A certificate with its key.
    public struct Pair: Sendable, Hashable {
      /// PEM file with the certificate and the chain up to a root.
      public var certificateFile = ""
      /// PEM file with its private key.
      public var privateKeyFile = ""
      /// DER file with an OCSP response about the certificate, to be shown to clients; nil: none.
      public var ocspResponseFile: String?
    }

    /// Versions of TLS.
    public enum Version: String, Sendable, CaseIterable {
      case tls12 = "1.2"
      case tls13 = "1.3"
    }
  }
}
