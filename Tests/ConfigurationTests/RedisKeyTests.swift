import Basics
import FoundationEssentials
import JSON
import Testing

@testable import Configuration

/// `session.store.redis`.
@Suite struct RedisKeyTests {
  private static let keys: (String, JSONValue?) = ("session.encryption_key_files", ["session.key"])

  private static func store(_ redis: JSONValue, type: JSONValue = "redis") -> (String, JSONValue?) {
    ("session.store", ["type": type, "redis": redis])
  }

  private static func nodes(_ nodes: JSONValue...) -> JSONValue { ["nodes": .array(nodes)] }

  static let bad: [(path: String, says: String, redis: JSONValue)] = [
    ("nodes", "is missing", [:]),
    ("nodes", "at least 1", ["nodes": []]),
    ("nodes", "a list", ["nodes": "127.0.0.1:6379"]),
    ("nodes[0]", "a host and a port", nodes("127.0.0.1")),
    ("nodes[0]", "a host and a port", nodes("redis://127.0.0.1:6379")),
    ("nodes[0]", "a host and a port", nodes("::1:6379")),
    ("nodes[0]", "a host and a port", nodes("user@host:6379")),
    ("nodes[0]", "a host and a port", nodes("host:0")),
    ("nodes[0]", "a host and a port", nodes("host:6379/1")),
    ("nodes[1]", "which is one server", nodes("a:1", "b:1")),
    ("nodes[1]", "is nodes[0] already", ["mode": "cluster", "nodes": ["a:1", "A:1"]]),
    ("mode", "\"sentinel\", \"cluster\"", ["mode": "replica", "nodes": ["a:1"]]),
    ("master", "needs the name", ["mode": "sentinel", "nodes": ["a:1"]]),
    ("master", "without \"mode\"", ["nodes": ["a:1"], "master": "m"]),
    (
      "sentinel_username", "without \"mode\"",
      ["nodes": ["a:1"], "sentinel_username": "u", "sentinel_password_file": ""]
    ),
    ("sentinel_password_file", "without \"mode\"", ["nodes": ["a:1"], "sentinel_password_file": "p"]),
    (
      "sentinel_password_file", "needs it",
      ["mode": "sentinel", "master": "m", "nodes": ["a:1"], "sentinel_username": "u"]
    ),
    ("password_file", "needs it", ["nodes": ["a:1"], "username": "u"]),
    ("ca_file", "without \"tls\"", ["nodes": ["a:1"], "ca_file": "c"]),
    (
      "certificate_file", "without \"tls\"",
      ["nodes": ["a:1"], "certificate_file": "c", "private_key_file": "k"]
    ),
    ("private_key_file", "needs it", ["nodes": ["a:1"], "tls": true, "certificate_file": "c"]),
    ("private_key_file", "whose key it is", ["nodes": ["a:1"], "tls": true, "private_key_file": "k"]),
    ("database", "a cluster has no other", ["mode": "cluster", "nodes": ["a:1"], "database": 1]),
    ("database", "from 0", ["nodes": ["a:1"], "database": -1]),
    ("key_prefix", "a prefix", ["nodes": ["a:1"], "key_prefix": "a{b}"]),
    ("key_prefix", "a prefix", ["nodes": ["a:1"], "key_prefix": ""]),
    ("key_prefix", "a prefix", ["nodes": ["a:1"], "key_prefix": "a*"]),
    ("connect_timeout", "from 50ms", ["nodes": ["a:1"], "connect_timeout": "1ms"]),
    ("command_timeout", "to 1m", ["nodes": ["a:1"], "command_timeout": "2m"]),
    ("connections", "from 1 to 16", ["nodes": ["a:1"], "connections": 17]),
    ("password", "password_file", ["nodes": ["a:1"], "password": "x"]),
  ]

  @Test(arguments: bad) func `each mistake is told at its key`(
    path: String, says: String, redis: JSONValue
  ) throws {
    let problems = Sample.problems(Self.keys, Self.store(redis))
    let problem = try #require(problems.first { $0.path == "session.store.redis.\(path)" }, "\(problems)")
    #expect(problem.message.contains(says), "\(problem)")
  }

  @Test func `the kind of store and its section belong together`() {
    func problems(_ changes: (String, JSONValue?)...) -> [String] {
      Sample.problems(of: Sample.with(changes)).map(\.path)
    }
    #expect(problems(Self.keys, ("session.store", ["type": "redis"])) == ["session.store.redis"])
    #expect(problems(Self.keys, Self.store(Self.nodes("a:1"), type: "sqlite")) == ["session.store.redis"])
    #expect(problems(Self.store(Self.nodes("a:1"))) == ["session.encryption_key_files"])
    #expect(
      problems(Self.keys, Self.store(Self.nodes("a:1")), ("session.store.path", "a.db")) == [
        "session.store.path"
      ])
  }

  static let good: [JSONValue] = [
    nodes("[::1]:6379"), nodes("redis.internal:6379"),
    ["mode": "cluster", "nodes": ["a:1", "a:2"], "tls": true, "ca_file": "c", "database": 0],
    [
      "mode": "sentinel", "master": "m", "nodes": ["a:1", "b:1"], "database": 3, "sentinel_username": "u",
      "sentinel_password_file": "p",
    ],
    [
      "nodes": ["a:1"], "tls": true, "certificate_file": "c", "private_key_file": "k", "username": "u",
      "password_file": "p",
    ],
  ]

  @Test(arguments: good) func `what is meant well is accepted`(redis: JSONValue) {
    #expect(Sample.problems(Self.keys, Self.store(redis)) == [])
  }

  @Test func `an address is split into host and port`() throws {
    let store = try Sample.parse(Self.keys, Self.store(Self.nodes("[::1]:6380"))).session.store
    let node = try #require(store.redis?.nodes.first)
    #expect(node.host == "::1" && node.port == 6380 && node.isLoopback && node.description == "[::1]:6380")
    #expect(store.file(environment: [:]) == nil && store.keyFile(environment: [:]) == nil)
    #expect(NodeAddress("Redis.Internal:6379")?.description == "redis.internal:6379")
  }

  @Test func `without TLS over a network it is cautioned`() throws {
    let paths = { (redis: JSONValue) in
      try Sample.parse(Self.keys, Self.store(redis)).cautions.map(\.path)
    }
    #expect(try paths(Self.nodes("redis.internal:6379")) == ["session.store.redis.tls"])
    #expect(try paths(Self.nodes("localhost:6379")) == [])
    #expect(try paths(["nodes": ["redis.internal:6379"], "tls": true]) == [])
  }

  @Test func `passwords come from files, whose problems are told without them`() throws {
    let directory = try FileTests.Directory()
    let all: JSONValue = [
      "mode": "sentinel", "master": "m", "nodes": ["127.0.0.1:1"], "password_file": "p",
      "sentinel_password_file": "s",
    ]
    let configuration = try Sample.parse(
      Sample.with([("session.encryption_key_files", ["k"]), Self.store(all)]), directory: directory.path)
    try directory.write("secret", "x")
    try directory.write("k", Base64URL.encode(RandomBytes.make(32)))
    #expect(
      configuration.fileProblems(environment: [:]).map(\.problem.path) == [
        "session.store.redis.password_file", "session.store.redis.sentinel_password_file",
      ])
    #expect(throws: ConfigurationError.self) { try configuration.readStorePasswords() }
    try directory.write("p", "two\nlines")
    try directory.write("s", "sentinels'\n")
    let problems = configuration.fileProblems(environment: [:])
    #expect(problems.map(\.isMissing) == [false])
    #expect(problems.first?.description.contains("two") == false)
    try directory.write("p", "s3cret\n")
    #expect(configuration.fileProblems(environment: [:]) == [])
    let passwords = try configuration.readStorePasswords()
    #expect(passwords.password?.reveal() == "s3cret" && passwords.sentinelPassword?.reveal() == "sentinels'")
  }

  @Test func `without password files there are no passwords`() throws {
    let passwords = try Sample.parse(Self.keys, Self.store(Self.nodes("a:1"))).readStorePasswords()
    #expect(passwords.password == nil && passwords.sentinelPassword == nil)
  }
}
