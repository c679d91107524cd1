internal import Basics

/// One command: its name and arguments, and the key that decides which node of a cluster gets it.
public struct RedisCommand: Sendable {
  /// What is sent, the name first.
  public var arguments: [[UInt8]]
  /// Decides the cluster's node; nil: any master.
  public var key: [UInt8]?

  /// - Parameters:
  ///   - key: the first argument, and what decides the cluster's node; nil: the command has none.
  ///   - rest: the arguments after it.
  public init(_ name: StaticString, key: [UInt8]? = nil, _ rest: [[UInt8]] = []) {
    var arguments = [Self.bytes(name)]
    if let key { arguments.append(key) }
    self.arguments = arguments + rest
    self.key = key
  }

  /// - Parameter key: decides the cluster's node, wherever it stands among the arguments.
  public init(arguments: [[UInt8]], routedBy key: [UInt8]?) {
    self.arguments = arguments
    self.key = key
  }

  /// As RESP wants it: an array of bulk strings.
  func append(to out: inout Buffer) {
    out.append("*" as StaticString)
    out.append(decimal: UInt64(arguments.count))
    out.append("\r\n" as StaticString)
    for argument in arguments {
      Self.appendBulkHead(argument.count, to: &out)
      out.append(argument)
      out.append("\r\n" as StaticString)
    }
  }

  static func appendBulkHead(_ count: Int, to out: inout Buffer) {
    out.append("$" as StaticString)
    out.append(decimal: UInt64(count))
    out.append("\r\n" as StaticString)
  }

  static func bytes(_ name: StaticString) -> [UInt8] { name.withUTF8Buffer { unsafe Array($0) } }
}
