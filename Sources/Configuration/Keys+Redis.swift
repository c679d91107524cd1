internal import Basics
internal import JSON

extension Configuration.Session.Store.Redis {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "mode", \.mode, .word,
          """
          `single`: one server. `sentinel`: sentinels say which server is the master. `cluster`: the keys are \
          spread over several masters.
          """
        ),
        make.required(
          "nodes", \.nodes, Form<NodeAddress>.node.list(minimum: 1), example: ["127.0.0.1:6379"],
          """
          Where it is found. For `single` the one server, for `sentinel` the sentinels, for `cluster` some of its \
          nodes: the others are learned from them.
          """
        ),
        make.optional(
          "master", \.master, .word("the name of a group of sentinels", limit: 128), otherwise: "none",
          example: "sessions",
          "Name under which the sentinels watch the master. For `sentinel`, needed there."),
        make.value(
          "tls", \.tls, .truth,
          "Whether connections are TLS, those to sentinels too. The server's certificate must name its host."),
        make.optional(
          "ca_file", \.caFile, .file, otherwise: "the system's authorities",
          example: "/etc/coatcheck/redis-ca.pem",
          "PEM file with the authorities that may vouch for the servers."),
        make.optional(
          "certificate_file", \.certificateFile, .file, otherwise: "none is presented",
          example: "/etc/coatcheck/redis.crt",
          "PEM file with the client certificate, for servers with `tls-auth-clients`."),
        make.optional(
          "private_key_file", \.privateKeyFile, .file, otherwise: "none", example: "/etc/coatcheck/redis.key",
          "PEM file with the key of `certificate_file`."),
        make.optional(
          "username", \.username, .word("the name of an ACL user", limit: 128), otherwise: "`default`",
          example: "coatcheck",
          """
          ACL user. Needs `password_file`. Enough are the keys and channels under `key_prefix` (`~coatcheck:* \
          &coatcheck:*`) and `+@all -@admin -@dangerous`.
          """),
        make.optional(
          "password_file", \.passwordFile, .file, otherwise: "none is sent",
          example: "/etc/coatcheck/redis_password",
          "File with the password; line ends behind it do not count."),
        make.optional(
          "sentinel_username", \.sentinelUsername, .word("the name of an ACL user", limit: 128),
          otherwise: "`default`", example: "coatcheck",
          "ACL user of the sentinels themselves. Needs `sentinel_password_file`."),
        make.optional(
          "sentinel_password_file", \.sentinelPasswordFile, .file, otherwise: "none is sent",
          example: "/etc/coatcheck/sentinel_password", "File with the password of the sentinels themselves."),
        make.value(
          "database", \.database, .number(0...65_535), "Number of the database. A cluster has 0 alone."),
        make.value(
          "key_prefix", \.keyPrefix,
          .text(
            "a prefix of letters, digits and `:._-`, at most 64", pattern: "^[A-Za-z0-9:._-]{1,64}$"
          ) {
            isPrefix($0) ? $0 : nil
          } write: {
            $0
          },
          """
          What every key and channel begins with. Proxies with the same prefix, database and servers share their \
          sessions; installations that are to be apart need another one.
          """
        ),
        make.value(
          "connect_timeout", \.connectTimeout, .duration(.milliseconds(50) ... .seconds(60)),
          "How long connecting may take, with TLS and sign-in."),
        make.value(
          "command_timeout", \.commandTimeout, .duration(.milliseconds(50) ... .seconds(60)),
          "How long an answer may take. After it the store counts as not available, see `outage_grace`."),
        make.value(
          "connections", \.connections, .number(1...16),
          "Connections to each server. Each carries any number of requests at once."),
      ]
    }
  }

  private static func isPrefix(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { ASCII.isLetter($0) || ASCII.isDigit($0) || ":._-".utf8.contains($0) }
  }
}

extension Form where Value == NodeAddress {
  static var node: Form {
    text(
      "a host and a port, such as \"redis.internal:6379\" or \"[::1]:6379\"", pattern: "^[^/]+:[1-9][0-9]*$",
      parse: { NodeAddress($0) }, write: \.description)
  }
}

extension Configuration {
  func checkStore(_ reading: inout Reading) {
    guard reading.isSound("session.store.type") else { return }
    let store = session.store
    if store.type != .sqlite, reading.isSound("session.store.path"), store.path != nil {
      let why = store.type == .memory ? "which writes no file" : "which keeps sessions elsewhere"
      reading.note(
        "session.store.path", "must not be there with \"type\": \"\(store.type.rawValue)\", \(why)")
    }
    guard let redis = store.redis else {
      if store.type == .redis, reading.isSound("session.store.redis") {
        reading.note("session.store.redis", "is missing: \"type\": \"redis\" needs it, with its \"nodes\"")
      }
      return
    }
    guard store.type == .redis else {
      reading.note("session.store.redis", "must not be there with \"type\": \"\(store.type.rawValue)\"")
      return
    }
    if reading.isSound("session.encryption_key_files"), session.encryptionKeyFiles.isEmpty {
      reading.note(
        "session.encryption_key_files",
        """
        is missing: with "type": "redis" every proxy needs the same keys, so none is made by itself; make one with \
        `coatcheck key` and give it to all
        """)
    }
    check(redis, &reading)
  }

  private func check(_ redis: Session.Store.Redis, _ reading: inout Reading) {
    let place = "session.store.redis"
    if reading.isSound("\(place).nodes", "\(place).mode") {
      if redis.mode == .single, redis.nodes.count > 1 {
        reading.note(
          "\(place).nodes[1]",
          "must not be there with \"mode\": \"single\", which is one server; or set \"sentinel\" or \"cluster\""
        )
      }
      for (index, node) in redis.nodes.enumerated() {
        guard let first = redis.nodes.firstIndex(of: node), first < index else { continue }
        reading.note("\(place).nodes[\(index)]", "is nodes[\(first)] already")
      }
    }
    func demand(
      _ key: String, _ isSet: Bool, _ others: [String], _ isWanted: Bool, missing: String?, extra: String
    ) {
      guard reading.isSound("\(place).\(key)"), others.allSatisfy({ reading.isSound("\(place).\($0)") })
      else {
        return
      }
      if isWanted, !isSet, let missing { reading.note("\(place).\(key)", "is missing: \(missing)") }
      if !isWanted, isSet { reading.note("\(place).\(key)", "must not be there \(extra)") }
    }
    let isSentinel = redis.mode == .sentinel
    let without = "without \"mode\": \"sentinel\""
    demand(
      "master", redis.master != nil, ["mode"], isSentinel,
      missing: "\"mode\": \"sentinel\" needs the name under which the sentinels watch the master",
      extra: without)
    for (key, isSet) in [
      ("sentinel_username", redis.sentinelUsername != nil),
      ("sentinel_password_file", redis.sentinelPasswordFile != nil),
    ] {
      demand(key, isSet, ["mode"], isSentinel, missing: nil, extra: without)
    }
    for (key, isSet) in [
      ("ca_file", redis.caFile != nil), ("certificate_file", redis.certificateFile != nil),
    ] {
      demand(key, isSet, ["tls"], redis.tls, missing: nil, extra: "without \"tls\": true")
    }
    demand(
      "private_key_file", redis.privateKeyFile != nil, ["certificate_file"], redis.certificateFile != nil,
      missing: "\"certificate_file\" needs it", extra: "without \"certificate_file\", whose key it is")
    if redis.username != nil {
      demand(
        "password_file", redis.passwordFile != nil, ["username"], true,
        missing: "\"username\" needs it", extra: "")
    }
    if redis.sentinelUsername != nil {
      demand(
        "sentinel_password_file", redis.sentinelPasswordFile != nil, ["sentinel_username"], true,
        missing: "\"sentinel_username\" needs it", extra: "")
    }
    if reading.isSound("\(place).database", "\(place).mode"), redis.mode == .cluster, redis.database != 0 {
      reading.note("\(place).database", "must be 0 with \"mode\": \"cluster\": a cluster has no other")
    }
  }
}
