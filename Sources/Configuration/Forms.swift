internal import Basics
internal import JSON

extension Form where Value == Bool {
  static var truth: Form {
    Form(shape: .truth) { node, path, reading in
      guard case .bool(let value) = node.content else { return reading.refuse(node, path, .truth) }
      return value
    } write: {
      .bool($0)
    }
  }
}

extension Form where Value == Int {
  static func number(_ range: ClosedRange<Int>) -> Form {
    Form(shape: .number(range)) { node, path, reading in
      guard case .number(let number) = node.content, let whole = number.int64,
        let value = Int(exactly: whole),
        range.contains(value)
      else { return reading.refuse(node, path, .number(range)) }
      return value
    } write: {
      .number(JSONNumber($0))
    }
  }
}

extension Form where Value == Duration {
  static func duration(_ range: ClosedRange<Duration>) -> Form {
    text(shape: .duration(range)) { text in
      Duration(text: text).flatMap { range.contains($0) ? $0 : nil }
    } write: {
      $0.text
    }
  }
}

extension Form where Value == ByteSize {
  /// - Parameter range: in bytes.
  static func size(_ range: ClosedRange<Int>) -> Form {
    text(shape: .size(range)) { text in
      ByteSize(text: text).flatMap { range.contains($0.bytes) ? $0 : nil }
    } write: {
      $0.description
    }
  }
}

extension Form where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  static var word: Form {
    text(shape: .word(Value.allCases.map(\.rawValue)), parse: Value.init(rawValue:), write: \.rawValue)
  }
}

extension Form where Value == ListenAddress {
  static var listen: Form {
    text(
      "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8443\"", pattern: "^.+:[1-9][0-9]*$",
      parse: { ListenAddress($0) }, write: \.description)
  }
}

extension Form where Value == AddressBlock {
  static var addressBlock: Form {
    text(
      "an IP address or a range such as \"10.0.0.0/8\" or \"fd00::/8\" without bits set behind the prefix",
      pattern: "^[0-9A-Fa-f.:]+(/[0-9]+)?$", parse: { AddressBlock($0) }, write: \.text)
  }
}

extension Form where Value == WebURL {
  /// An absolute URL without user information, query and fragment.
  static var url: Form {
    text(
      "an absolute http or https URL without user name, query and fragment",
      pattern: "^[Hh][Tt][Tt][Pp][Ss]?://",
      parse: { WebURL($0) }, write: \.text)
  }

  /// A URL that is https, or http on loopback.
  static func secureURL(_ why: String) -> Form {
    url.demanding { url in
      url.isSecure || url.isLoopback
        ? nil : "must be https: plain http is accepted for loopback hosts only, since \(why)"
    }
  }
}

extension Form where Value == String {
  /// Any text without control characters.
  static func line(_ says: String, limit: Int = 1024) -> Form {
    text(says, pattern: "^[^\\u0000-\\u001f\\u007f]+$") { text in
      !text.isEmpty && text.utf8.count <= limit && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        ? text : nil
    } write: {
      $0
    }
  }

  /// A text of printable ASCII without blanks.
  static func word(_ says: String, limit: Int = 1024) -> Form {
    text(says, pattern: "^[!-~]+$") { text in
      !text.isEmpty && text.utf8.count <= limit && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        ? text : nil
    } write: {
      $0
    }
  }

  /// An RFC 9110 token: names of cookies and fields.
  static func token(_ says: String) -> Form {
    text(says, pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") {
      isToken($0) ? $0 : nil
    } write: {
      $0
    }
  }

  /// A path of a file, resolved against the directory of the configuration file.
  static var file: Form {
    let form = line("the path of a file", limit: 4096)
    return Form(shape: form.shape) { node, path, reading in
      form.read(node, path, &reading).map { FilePaths.join(reading.directory, $0) }
    } write: {
      .string($0)
    }
  }

  private static func isToken(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 128
      && text.utf8.allSatisfy {
        ASCII.isLetter($0) || ASCII.isDigit($0) || "!#$%&'*+-.^_`|~".utf8.contains($0)
      }
  }
}

extension Form where Value == [String] {
  /// Words separated by single blanks, none twice: how OAuth writes lists (RFC 6749 §3.3).
  static func words(_ says: String) -> Form {
    text(says, pattern: "^[!#-\\[\\]-~]+( [!#-\\[\\]-~]+)*$") { text in
      let words = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
      let isGood = words.allSatisfy { word in
        !word.isEmpty && word.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
      }
      return isGood && Set(words).count == words.count && text.utf8.count <= 4096 ? words : nil
    } write: {
      $0.joined(separator: " ")
    }
  }
}
