internal import JSON

/// The keys of one object of the file and the properties they set.
struct Section<Owner: Sendable> {
  /// The value without any key: every default.
  let defaults: Owner
  let keys: [Key<Owner>]

  /// - Parameter keys: makes the keys, in the order of the reference.
  init(_ defaults: Owner, _ keys: (KeyMaker<Owner>) -> [Key<Owner>]) {
    self.defaults = defaults
    self.keys = keys(KeyMaker(defaults: defaults))
  }

  /// The object as a form. Whatever is wrong inside is noted; the value then has defaults in those places.
  var form: Form<Owner> {
    let entries = keys.map(\.entry)
    return Form<Owner>(shape: .object(entries)) { node, path, reading in
      guard let members = node.members else { return reading.refuse(node, path, .object(entries)) }
      var owner = defaults
      for member in members {
        let place = path.isEmpty ? member.key : "\(path).\(member.key)"
        reading.places.note(place, member.keyPosition)
        guard let key = keys.first(where: { $0.entry.name == member.key }) else {
          reading.note(place, UnknownKey.message(member.key, among: entries))
          continue
        }
        key.read(member.value, place, &reading, &owner)
      }
      for entry in entries where entry.isRequired && node[entry.name] == nil {
        let place = path.isEmpty ? entry.name : "\(path).\(entry.name)"
        reading.note(place, "is missing; must be \(entry.shape.allowed)")
      }
      return owner
    } write: { _ in
      .object(JSONObject())
    }
  }
}

/// One key and the property it sets.
struct Key<Owner> {
  let entry: Entry
  let read: (JSONNode, String, inout Reading, inout Owner) -> Void

  fileprivate init<Value>(_ entry: Entry, _ form: Form<Value>, _ set: @escaping (inout Owner, Value) -> Void)
  {
    self.entry = entry
    read = { node, path, reading, owner in
      if let value = form.read(node, path, &reading) { set(&owner, value) }
    }
  }
}

/// Makes the keys of one object; defaults are read off a value that has them.
struct KeyMaker<Owner> {
  fileprivate let defaults: Owner

  /// A key whose absence leaves the property's default, which the file could also say.
  func value<Value>(
    _ name: String, _ property: WritableKeyPath<Owner, Value>, _ form: Form<Value>, example: JSONValue? = nil,
    _ documentation: String
  ) -> Key<Owner> {
    let value = form.write(defaults[keyPath: property])
    let entry = Entry(
      name: name, shape: form.shape, documentation: documentation, isRequired: false, defaultValue: value,
      otherwise: nil, example: example ?? value)
    return Key(entry, form) { $0[keyPath: property] = $1 }
  }

  /// A key that must be there.
  func required<Value>(
    _ name: String, _ property: WritableKeyPath<Owner, Value>, _ form: Form<Value>, example: JSONValue,
    _ documentation: String
  ) -> Key<Owner> {
    let entry = Entry(
      name: name, shape: form.shape, documentation: documentation, isRequired: true, defaultValue: nil,
      otherwise: nil, example: example)
    return Key(entry, form) { $0[keyPath: property] = $1 }
  }

  /// A key whose absence means what `otherwise` says.
  /// - Parameter example: nil when the key excludes another one that the complete example shows.
  func optional<Value>(
    _ name: String, _ property: WritableKeyPath<Owner, Value?>, _ form: Form<Value>, otherwise: String,
    example: JSONValue?, _ documentation: String
  ) -> Key<Owner> {
    let entry = Entry(
      name: name, shape: form.shape, documentation: documentation, isRequired: false, defaultValue: nil,
      otherwise: otherwise, example: example)
    return Key(entry, form) { $0[keyPath: property] = $1 }
  }

  /// A key whose absence leaves the property's default, which the file cannot say.
  func optional<Value>(
    _ name: String, _ property: WritableKeyPath<Owner, Value>, _ form: Form<Value>, otherwise: String,
    example: JSONValue?, _ documentation: String
  ) -> Key<Owner> {
    let entry = Entry(
      name: name, shape: form.shape, documentation: documentation, isRequired: false, defaultValue: nil,
      otherwise: otherwise, example: example)
    return Key(entry, form) { $0[keyPath: property] = $1 }
  }

  /// An object of keys.
  func section<Value>(
    _ name: String, _ property: WritableKeyPath<Owner, Value>, _ section: Section<Value>,
    isRequired: Bool = false, _ documentation: String
  ) -> Key<Owner> {
    let form = section.form
    return Key(object(name, form.shape, isRequired: isRequired, otherwise: nil, documentation), form) {
      $0[keyPath: property] = $1
    }
  }

  /// An object of keys whose absence means what `otherwise` says.
  /// - Parameter isInExample: false when it excludes what the complete example shows.
  func optionalSection<Value>(
    _ name: String, _ property: WritableKeyPath<Owner, Value?>, _ section: Section<Value>, otherwise: String,
    isInExample: Bool = true, _ documentation: String
  ) -> Key<Owner> {
    let form = section.form
    var entry = object(name, form.shape, isRequired: false, otherwise: otherwise, documentation)
    if !isInExample { entry.example = nil }
    return Key(entry, form) { $0[keyPath: property] = $1 }
  }

  /// An array of objects of keys.
  /// - Parameter moreExamples: elements that follow the complete one in the example.
  func list<Value>(
    _ name: String, _ property: WritableKeyPath<Owner, [Value]>, of section: Section<Value>, minimum: Int = 0,
    moreExamples: [JSONValue] = [], _ documentation: String
  ) -> Key<Owner> {
    let form = section.form.list(minimum: minimum)
    let first = Example.object(section.keys.map(\.entry))
    let entry = Entry(
      name: name, shape: form.shape, documentation: documentation, isRequired: minimum > 0,
      defaultValue: minimum > 0 ? nil : [], otherwise: nil, example: .array([first] + moreExamples))
    return Key(entry, form) { $0[keyPath: property] = $1 }
  }

  /// A key that is allowed and ignored.
  func ignored(_ name: String, _ form: Form<String>, example: JSONValue, _ documentation: String) -> Key<
    Owner
  > {
    let entry = Entry(
      name: name, shape: form.shape, documentation: documentation, isRequired: false, defaultValue: nil,
      otherwise: "nothing", example: example)
    return Key(entry, form) { _, _ in }
  }

  private func object(
    _ name: String, _ shape: Shape, isRequired: Bool, otherwise: String?, _ documentation: String
  ) -> Entry {
    Entry(
      name: name, shape: shape, documentation: documentation, isRequired: isRequired, defaultValue: nil,
      otherwise: otherwise, example: Example.object(shape.entries ?? []))
  }
}
