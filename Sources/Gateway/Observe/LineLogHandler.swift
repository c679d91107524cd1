internal import Basics
public import Logging

/// The format of log lines.
public enum LogFormat: Sendable { case json, text }

/// A `swift-log` back end that writes one line a record to a `LogSink`, as a JSON object or for people.
///
/// Messages are constants; what varies is metadata. Values are escaped, so no record can forge a second line.
public struct LineLogHandler: LogHandler {
  public var logLevel: Logger.Level
  public var metadata: Logger.Metadata = [:]
  private let label: String
  private let sink: LogSink
  private let format: LogFormat

  public init(label: String, sink: LogSink, format: LogFormat, level: Logger.Level) {
    self.label = label
    self.sink = sink
    self.format = format
    self.logLevel = level
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var fields = metadata
    if let own = event.metadata { fields.merge(own) { $1 } }
    let sorted = fields.sorted { $0.key < $1.key }
    var line: String
    switch format {
    case .json:
      line = "{\"time\":\"\(Timestamp.now().rfc3339)\",\"level\":\"\(event.level.rawValue)\",\"logger\":"
      line +=
        LineLogHandler.quoted(label) + ",\"message\":" + LineLogHandler.quoted(event.message.description)
      for (key, value) in sorted {
        line += "," + LineLogHandler.quoted(key) + ":" + LineLogHandler.quoted(value.description)
      }
      line += "}\n"
    case .text:
      line = "\(Timestamp.now().rfc3339) \(event.level.rawValue) \(label): "
      line += LineLogHandler.oneLine(event.message.description)
      for (key, value) in sorted { line += " \(key)=\(LineLogHandler.quoted(value.description))" }
      line += "\n"
    }
    sink.write(Array(line.utf8))
  }

  /// A JSON string literal (RFC 8259 §7).
  static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }

  private static func oneLine(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
  }
}
