extension MetricsPage {
  /// Series with the provider's name as a label.
  static func perProvider(
    _ out: inout String, _ providers: [(name: String, isKnown: Bool)], _ control: ControlMetrics
  ) {
    var name = "coatcheck_provider_sign_ins_total"
    out += "# HELP \(name) Completed sign-ins by provider.\n# TYPE \(name) counter\n"
    for provider in providers {
      out += "\(name){provider=\"\(provider.name)\"} \(control.signInsByProvider[provider.name] ?? 0)\n"
    }
    name = "coatcheck_provider_known"
    out +=
      "# HELP \(name) Whether the provider's metadata could be had since the start.\n# TYPE \(name) gauge\n"
    for provider in providers {
      out += "\(name){provider=\"\(provider.name)\"} \(provider.isKnown ? 1 : 0)\n"
    }
  }
}
