internal import Basics
internal import JSON

extension Form where Value == String {
  /// A short name that stands in addresses as it is.
  static var providerName: Form {
    text("a short name of letters, digits, \"-\" and \"_\"", pattern: "^[A-Za-z0-9_-]{1,32}$") { text in
      let isName = text.utf8.allSatisfy {
        ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
      }
      return isName && (1...32).contains(text.utf8.count) ? text : nil
    } write: {
      $0
    }
  }
}

extension Form where Value == Configuration.Providers {
  /// One provider, or a list of some.
  static var providers: Form {
    let one = Configuration.OIDC.section.form
    let several = one.list(minimum: 1)
    let shape = Shape.oneOrMore(of: one.shape)
    return Form(shape: shape) { node, path, reading in
      if node.elements != nil {
        // Where an element is refused there is none to make further demands of.
        let all = several.read(node, path, &reading)
        return Configuration.Providers(all: all ?? [], isList: true)
      }
      guard node.members != nil else { return reading.refuse(node, path, shape) }
      return one.read(node, path, &reading).map { Configuration.Providers(all: [$0], isList: false) }
    } write: { _ in
      .object(JSONObject())
    }
  }
}

extension KeyMaker where Owner == Configuration {
  /// The key of all providers.
  func providers(
    _ name: String, _ property: WritableKeyPath<Owner, Configuration.Providers>, _ documentation: String
  ) -> Key<Owner> {
    let form = Form<Configuration.Providers>.providers
    return required(name, property, form, example: Example.object(form.shape.entries ?? []), documentation)
  }
}
