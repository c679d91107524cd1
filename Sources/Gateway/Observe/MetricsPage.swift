internal import Basics
internal import Reactor
internal import Sessions

/// Renders the Prometheus text exposition format 0.0.4.
enum MetricsPage {
  static func render(
    loops: LoopMetrics, control: ControlMetrics, routes: [String], sessions: Int,
    store: StoreFacts? = nil, certificates: [TLSCertificateFacts] = [],
    providers: [(name: String, isKnown: Bool)] = []
  ) -> String {
    var out = ""
    counter(&out, "coatcheck_answers_total", "Answers by route and class of status.")
    for (index, route) in routes.enumerated() {
      for hundreds in 1...5 {
        let value = loops.answers[index * 6 + hundreds]
        if value > 0 {
          out += "coatcheck_answers_total{route=\"\(escaped(route))\",status=\"\(hundreds)xx\"} \(value)\n"
        }
      }
    }
    out +=
      "# HELP coatcheck_request_duration_seconds From the first byte of a request to the last of its answer.\n"
    out += "# TYPE coatcheck_request_duration_seconds histogram\n"
    var total: UInt64 = 0
    for (index, bound) in LoopMetrics.bucketBounds.enumerated() {
      total += loops.durationBuckets[index]
      out += "coatcheck_request_duration_seconds_bucket{le=\"\(Double(bound) / 1_000_000)\"} \(total)\n"
    }
    out += "coatcheck_request_duration_seconds_bucket{le=\"+Inf\"} \(loops.durationCount)\n"
    out += "coatcheck_request_duration_seconds_sum \(Double(loops.durationMicroseconds) / 1_000_000)\n"
    out += "coatcheck_request_duration_seconds_count \(loops.durationCount)\n"
    let counters: [(String, String, UInt64)] = [
      ("coatcheck_client_received_bytes_total", "Bytes received from clients.", loops.bytesFromClients),
      ("coatcheck_client_sent_bytes_total", "Bytes sent to clients.", loops.bytesToClients),
      (
        "coatcheck_own_answers_total", "Answers of own endpoints and refusals without a route.",
        loops.ownEndpoints
      ),
      ("coatcheck_login_required_total", "Requests answered that a sign-in is needed.", loops.loginRequired),
      (
        "coatcheck_consent_required_total", "Requests answered that consent is needed.", loops.consentRequired
      ),
      ("coatcheck_calls_held_total", "Calls held open until their user consents.", loops.callsHeld),
      (
        "coatcheck_calls_replayed_total", "Refused calls that were sent again after consent.",
        loops.callsReplayed
      ),
      (
        "coatcheck_elicitations_completed_total", "Completed consents announced on an MCP session's stream.",
        loops.completionsAnnounced
      ),
      (
        "coatcheck_guard_refusals_total", "Requests refused for their origin, site or content.",
        loops.refusedByGuard
      ),
      ("coatcheck_replays_total", "Requests sent again with a refreshed token.", loops.replays),
      (
        "coatcheck_upstream_failures_total", "Requests that got no answer from an upstream.",
        loops.upstreamFailures
      ),
      (
        "coatcheck_session_cache_misses_total", "Tickets a loop had to ask the control loop for.",
        loops.cacheMisses
      ),
      ("coatcheck_clients_gone_total", "Clients that left before their answer.", loops.clientsGone),
      (
        "coatcheck_accept_pauses_total",
        "Times that new connections had to wait because all places were taken.",
        loops.acceptPauses
      ),
      ("coatcheck_log_lines_dropped_total", "Log lines that nobody took.", control.logLinesDropped),
      ("coatcheck_sign_ins_total", "Completed sign-ins.", control.signIns),
      ("coatcheck_sign_in_failures_total", "Sign-ins that ended in an error page.", control.signInFailures),
      ("coatcheck_sign_outs_total", "Sessions ended by their user.", control.signOuts),
      ("coatcheck_consents_granted_total", "Consents that were given.", control.consentsGranted),
      ("coatcheck_consents_declined_total", "Consents that were declined.", control.consentsDeclined),
      ("coatcheck_consents_revoked_total", "Consents that their user took back.", control.consentsRevoked),
      ("coatcheck_token_refreshes_total", "Refreshes that brought a new token.", control.refreshes),
      (
        "coatcheck_token_refresh_failures_total", "Refreshes that failed for the moment.",
        control.refreshFailuresTransient
      ),
      (
        "coatcheck_token_refreshes_refused_total", "Refreshes the provider refused for good.",
        control.refreshesRefused
      ),
      (
        "coatcheck_provider_misconfigured_total",
        "Refusals of this installation by the provider: look at the log.",
        control.providerMisconfigured
      ),
      (
        "coatcheck_logout_tokens_refused_total", "Logout tokens that were not acted on: look at the log.",
        control.logoutTokensRefused
      ),
      (
        "coatcheck_operators_refused_total", "Requests for sessions at the admin listener without its token.",
        control.operatorsRefused
      ),
      ("coatcheck_store_errors_total", "Failed operations of the session store.", control.storeErrors),
      (
        "coatcheck_certificate_reloads_total", "Readings of certificate files that took all of them.",
        control.certificateReloads
      ),
      (
        "coatcheck_certificate_reload_failures_total",
        "Readings of certificate files that left one before in use: look at the log.",
        control.certificateReloadFailures
      ),
      (
        "coatcheck_sealing_key_reloads_total", "Readings of the sealing keys that took them.",
        control.sealing.reloads
      ),
      (
        "coatcheck_sealing_key_reload_failures_total",
        "Readings of the sealing keys that left those before in use: look at the log.",
        control.sealing.reloadFailures
      ),
      (
        "coatcheck_resealed_total", "Stored values that were sealed again under the first key.",
        control.sealing.resealed
      ),
      (
        "coatcheck_replica_messages_sent_total", "Messages to other processes that share the session store.",
        control.replicaMessagesSent
      ),
      (
        "coatcheck_replica_messages_lost_total", "Messages to others that the store did not take.",
        control.replicaMessagesLost
      ),
      (
        "coatcheck_replica_messages_heard_total", "Messages of others that were understood.",
        control.replicaMessagesHeard
      ),
      (
        "coatcheck_replica_messages_refused_total",
        "Messages that nobody here sent: not sealed with a key of the ring, damaged, too old, or played again.",
        control.replicaMessagesRefused
      ),
    ]
    for (name, help, value) in counters {
      counter(&out, name, help)
      out += "\(name) \(value)\n"
    }
    counter(&out, "coatcheck_session_ends_total", "Ends of sessions held in memory, by reason.")
    for reason in EndReason.allCases {
      out +=
        "coatcheck_session_ends_total{reason=\"\(reason.rawValue)\"} \(control.sessionEnds[reason, default: 0])\n"
    }
    counter(&out, "coatcheck_refused_total", "What was turned away because a bound was reached.")
    var refusals = loops.refusals
    refusals.count(.signInsPerAddress, control.signInsRefused)
    for reason in RefusalReason.allCases {
      out += "coatcheck_refused_total{reason=\"\(reason.label)\"} \(refusals[reason])\n"
    }
    gauge(
      &out, "coatcheck_held_bytes", "Bytes of request bodies and of answers that wait in memory.",
      loops.heldBytes)
    gauge(&out, "coatcheck_client_connections", "Open client connections.", loops.openConnections)
    gauge(
      &out, "coatcheck_cached_sessions", "Sessions in the loops' caches, counted once a loop.",
      loops.cachedSessions)
    gauge(&out, "coatcheck_sessions", "Sessions held in memory.", UInt64(max(0, sessions)))
    if !providers.isEmpty { perProvider(&out, providers, control) }
    if let store { render(store, &out) }
    gauge(
      &out, "coatcheck_sealing_keys", "Sealing keys in use; 0 without any from a file.",
      UInt64(clamping: control.sealing.keys))
    gauge(
      &out, "coatcheck_resealing",
      "Whether something stored may still be sealed under an older key (0 or 1).",
      control.sealing.isResealing ? 1 : 0)
    gauge(
      &out, "coatcheck_unreadable_values",
      "Stored values that no sealing key opened when everything was last sealed again.",
      UInt64(clamping: control.sealing.unreadable))
    if !certificates.isEmpty {
      let name = "coatcheck_certificate_not_after_seconds"
      out +=
        "# HELP \(name) When a certificate in use expires, in seconds since 1970.\n# TYPE \(name) gauge\n"
      for facts in certificates {
        out += "\(name){file=\"\(escaped(facts.file))\"} \(facts.notAfter.seconds)\n"
      }
    }
    return out
  }

  private static func render(_ store: StoreFacts, _ out: inout String) {
    gauge(
      &out, "coatcheck_store_up", "Whether the session store answered when it was last asked.",
      store.isUp ? 1 : 0)
    gauge(
      &out, "coatcheck_store_sessions_usable",
      "Whether sessions in memory are used: the store answers, or session.store.outage_grace is not over.",
      store.isWithinGrace ? 1 : 0)
    let name = "coatcheck_store_contact_age_seconds"
    out += "# HELP \(name) Since the session store last answered.\n# TYPE \(name) gauge\n"
    out += "\(name) \(Double(max(0, store.sinceContact.milliseconds)) / 1000)\n"
    let counters: [(String, String, UInt64)] = [
      (
        "coatcheck_lease_waits_total", "Refreshes that waited because another process was at it.",
        store.counts.leasesWaited
      ),
      (
        "coatcheck_leases_lost_total", "Leases that ran out before they were given back.",
        store.counts.leasesLost
      ),
      (
        "coatcheck_saves_fenced_total", "Saves refused because another process had been given the lease.",
        store.counts.savesFenced
      ),
      (
        "coatcheck_token_refreshes_adopted_total", "Wanted tokens that another process had fetched.",
        store.counts.refreshesAdopted
      ),
    ]
    for (name, help, value) in counters {
      counter(&out, name, help)
      out += "\(name) \(value)\n"
    }
  }

  private static func counter(_ out: inout String, _ name: String, _ help: String) {
    out += "# HELP \(name) \(help)\n# TYPE \(name) counter\n"
  }

  private static func gauge(_ out: inout String, _ name: String, _ help: String, _ value: UInt64) {
    out += "# HELP \(name) \(help)\n# TYPE \(name) gauge\n\(name) \(value)\n"
  }

  private static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\"": out += "\\\""
      case "\n": out += "\\n"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}
