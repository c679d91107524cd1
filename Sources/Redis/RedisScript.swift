internal import COpenSSL

/// A Lua script that the server runs as one step, and the name it has there.
public struct RedisScript: Sendable {
  /// The source.
  public let source: [UInt8]
  /// SHA-1 of the source in lower-case hexadecimal: what `EVALSHA` calls it by.
  public let digest: [UInt8]

  public init(_ source: String) {
    self.source = Array(source.utf8)
    digest = Self.digest(self.source)
  }

  private static func digest(_ bytes: [UInt8]) -> [UInt8] {
    var hash = [UInt8](repeating: 0, count: 20)
    unsafe bytes.withUnsafeBufferPointer { source in
      _ = unsafe hash.withUnsafeMutableBufferPointer {
        unsafe SHA1(source.baseAddress, source.count, $0.baseAddress)
      }
    }
    let digits = Array("0123456789abcdef".utf8)
    return hash.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 0xF)]] }
  }
}

/// One run of a script.
public struct RedisScriptCall: Sendable {
  public var script: RedisScript
  /// All of one hash tag where a cluster may be used. The first one decides the node.
  public var keys: [[UInt8]]
  public var arguments: [[UInt8]]

  public init(_ script: RedisScript, keys: [[UInt8]], arguments: [[UInt8]] = []) {
    self.script = script
    self.keys = keys
    self.arguments = arguments
  }

  /// By name, for a server that has the script.
  var byDigest: RedisCommand { command("EVALSHA", script.digest) }
  /// With its source, which the server keeps from then on.
  var bySource: RedisCommand { command("EVAL", script.source) }

  private func command(_ name: StaticString, _ script: [UInt8]) -> RedisCommand {
    let head = [RedisCommand.bytes(name), script, Array(String(keys.count).utf8)]
    return RedisCommand(arguments: head + keys + arguments, routedBy: keys.first)
  }
}
