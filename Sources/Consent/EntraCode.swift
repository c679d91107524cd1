/// Microsoft Entra's error numbers, as far as they decide what to do. A tie-breaker behind `error`,
/// `suberror` and `claims`, since Microsoft may change them (Entra documentation, *Authentication and
/// authorization error codes*).
enum EntraCode {
  enum Meaning: Sendable, Equatable {
    case consent, declined, adminConsent, stepUp, device, grantEnded, assertionStale, config, transient, loop
  }

  /// How long to leave Entra alone once it saw a client go round in circles: what Microsoft's own libraries wait
  /// before they repeat a request that needs the user.
  static let loopPause: Duration = .seconds(120)

  /// What `code` means; nil when it decides nothing.
  static func meaning(_ code: Int) -> Meaning? {
    switch code {
    case 65001, 90008: .consent
    case 65004: .declined
    case 90094, 90095: .adminConsent
    case 50072, 50074, 50076, 50078, 50079, 50158: .stepUp
    case 50097, 50129, 53000, 53001, 53002, 53003, 530032: .device
    case 50055, 50089, 50132, 50133, 50144, 50173, 54005, 70000, 70008, 70043, 700082, 700084: .grantEnded
    case 50013, 500133: .assertionStale
    case 28002, 50011, 65005, 70011, 240002, 500011, 650052, 650056, 650057, 700016, 700022, 9002313: .config
    case 700024, 700027, 1000502, 7000214, 7000215: .config
    // "Client loop detected": stop and wait.
    case 50196: .loop
    case 50033, 50087, 90006, 90024, 90033, 90055: .transient
    default: nil
    }
  }

  /// The number in `AADSTS65001`; nil for any other text.
  static func number(_ text: some StringProtocol) -> Int? {
    guard text.hasPrefix("AADSTS") else { return nil }
    let digits = text.dropFirst(6)
    guard digits.utf8.count >= 5, digits.utf8.count <= 9, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 })
    else {
      return nil
    }
    return Int(digits)
  }
}
