internal import JSON

/// How values of one type are written in the file: the one description of which reading, messages, schema and
/// reference are made.
struct Form<Value> {
  let shape: Shape
  /// The value of a node at a path; nil when a problem was noted.
  let read: (JSONNode, String, inout Reading) -> Value?
  /// The value as the file says it.
  let write: (Value) -> JSONValue

  /// A form whose values are one text each. `parse` gives nil for what is not allowed.
  static func text(
    _ says: String, pattern: String? = nil, parse: @escaping (String) -> Value?,
    write: @escaping (Value) -> String
  ) -> Form {
    text(shape: .text(says: says, pattern: pattern), parse: parse, write: write)
  }

  static func text(
    shape: Shape, parse: @escaping (String) -> Value?, write: @escaping (Value) -> String
  ) -> Form {
    Form(shape: shape) { node, path, reading in
      guard case .string(let text) = node.content, let value = parse(text) else {
        return reading.refuse(node, path, shape)
      }
      return value
    } write: {
      .string(write($0))
    }
  }

  /// This form with a further demand. `problem` gives what is wrong, or nil.
  func demanding(_ problem: @escaping (Value) -> String?) -> Form {
    Form(shape: shape) { node, path, reading in
      guard let value = read(node, path, &reading) else { return nil }
      guard let problem = problem(value) else { return value }
      reading.note(path, problem)
      return nil
    } write: {
      write($0)
    }
  }
}

extension Form where Value: Sendable {
  /// An array of elements of this form. When one of them is refused, so is the array, after all were looked
  /// at.
  func list(minimum: Int = 0) -> Form<[Value]> {
    let shape = Shape.list(of: self.shape, minimum: minimum)
    return Form<[Value]>(shape: shape) { node, path, reading in
      guard let nodes = node.elements, nodes.count >= minimum else {
        return reading.refuse(node, path, shape)
      }
      var values: [Value] = []
      for (index, element) in nodes.enumerated() {
        let place = "\(path)[\(index)]"
        reading.places.note(place, element.position)
        if let value = read(element, place, &reading) { values.append(value) }
      }
      return values.count == nodes.count ? values : nil
    } write: {
      .array($0.map(write))
    }
  }
}

/// The state of reading one file.
struct Reading {
  /// What relative paths are relative to.
  let directory: String
  var places: Places
  private(set) var problems: [ConfigurationError.Problem] = []

  init(file: String, directory: String) {
    self.directory = directory
    places = Places()
    places.file = file
  }

  /// Notes a problem.
  mutating func note(_ path: String, _ message: String) {
    problems.append(places.problem(path, message))
  }

  /// Notes that a value is not what it must be.
  mutating func refuse<Value>(_ node: JSONNode, _ path: String, _ shape: Shape) -> Value? {
    if case .null = node.content {
      note(path, "must be \(shape.allowed), not null; leave the key out to get its default")
    } else {
      note(path, "must be \(shape.allowed)")
    }
    return nil
  }

  /// Whether nothing is wrong with the values at, below and around these paths, so that they can be compared
  /// with others.
  func isSound(_ paths: String...) -> Bool {
    paths.allSatisfy { path in
      problems.allSatisfy { problem in
        !Self.covers(path, problem.path) && !Self.covers(problem.path, path)
      }
    }
  }

  private static func covers(_ outer: String, _ inner: String) -> Bool {
    guard inner.hasPrefix(outer), !outer.isEmpty else { return false }
    let next = inner.dropFirst(outer.count).first
    return next == nil || next == "." || next == "["
  }
}
