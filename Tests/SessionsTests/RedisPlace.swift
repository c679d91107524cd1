import Basics
import FoundationEssentials
import Glibc
import Reactor
import Redis
import Testing

import class Foundation.FileHandle
import class Foundation.Pipe
import class Foundation.Process

@testable import Sessions

/// A place of a test's own in a Redis that all tests share: nothing that is in it is met by another.
final class RedisPlace: Sendable {
  enum Kind: CaseIterable {
    case single, cluster
  }

  let kind: Kind
  let prefix: String
  let sealer: Sealer
  private let servers: RedisServers

  init(_ kind: Kind, sealer: Sealer = Sealer(current: .make())) throws {
    self.kind = kind
    self.sealer = sealer
    prefix = "test.\(RandomBytes.token(bits: 64)):"
    servers = try RedisServers.shared.get()
  }

  /// A store, as that of another process.
  func open(
    clock: WallClock? = nil, maxRecordsPerKind: Int = 50_000, lifetime: Duration = .seconds(7 * 86_400),
    sealer: Sealer? = nil, layout: RedisLayout = .current
  ) async throws(StoreError) -> RedisSessionStore {
    try await RedisSessionStore.open(
      client: client(),
      settings: RedisStoreSettings(
        prefix: prefix, lifetime: lifetime, maxRecordsPerKind: maxRecordsPerKind, isSpread: kind == .cluster,
        clock: clock), sealer: sealer ?? self.sealer, layout: layout)
  }

  /// A client, as that of somebody else.
  func client() -> RedisClient {
    let nodes = (kind == .single ? servers.single : servers.cluster).map {
      RedisEndpoint(host: "127.0.0.1", port: $0)
    }
    var settings = RedisSettings(mode: kind == .single ? .single : .cluster, nodes: nodes)
    // The machine may be busy.
    settings.commandTimeout = .seconds(20)
    settings.connectTimeout = .seconds(20)
    return RedisClient(settings: settings, loop: servers.loop, blocking: servers.blocking)
  }

  /// The names of all keys of this place.
  func keys() async throws -> [[UInt8]] {
    let client = client()
    var keys: [[UInt8]] = []
    for node in try await client.nodes() {
      var cursor = Array("0".utf8)
      repeat {
        let scan = RedisCommand(
          "SCAN",
          [cursor, Array("MATCH".utf8), Array("\(prefix)*".utf8), Array("COUNT".utf8), Array("1000".utf8)])
        let answer = try await client.send([scan], to: node)[0].array
        keys += answer?.last?.array?.compactMap(\.bytes) ?? []
        cursor = answer?.first?.bytes ?? Array("0".utf8)
      } while cursor != Array("0".utf8)
    }
    await client.close()
    return keys
  }

  /// What Redis says to one command about each of these keys.
  func ask(_ name: StaticString, _ keys: [[UInt8]], _ rest: [[UInt8]] = []) async throws -> [RedisValue] {
    let client = client()
    let answers = try await client.send(keys.map { RedisCommand(name, key: $0, rest) })
    await client.close()
    return answers
  }

  /// Every name and everything that is in it, and all of that as a server would write it on a disk.
  func everyByte() async throws -> [UInt8] {
    let keys = try await keys()
    var bytes = keys.flatMap { $0 }
    for (key, type) in zip(keys, try await ask("TYPE", keys)) {
      let all = [Array("0".utf8), Array("-1".utf8)]
      let content: [RedisValue] =
        switch type.text {
        case "string": try await ask("GET", [key])
        case "hash": try await ask("HGETALL", [key])
        case "zset": try await ask("ZRANGE", [key], all)
        case "set": try await ask("SMEMBERS", [key])
        default: []
        }
      #expect(!content.isEmpty, "a key of an unknown kind")
      bytes += content.flatMap(Self.flat)
    }
    return bytes + (try await ask("DUMP", keys)).flatMap(Self.flat)
  }

  private static func flat(_ value: RedisValue) -> [UInt8] {
    value.bytes ?? value.array?.flatMap(flat) ?? []
  }
}

/// One server alone and a cluster of three, for all tests of a run. They end with the process, however that ends.
private final class RedisServers: Sendable {
  static let shared = Result { try RedisServers() }

  let single: [UInt16]
  let cluster: [UInt16]
  let loop = EventLoop(name: "tests.redis")
  let blocking = BlockingPool()
  private let directory: TemporaryDirectory
  private let input: Pipe

  private init() throws {
    directory = try TemporaryDirectory()
    let ports = Self.freePorts(7)
    single = [ports[0]]
    cluster = Array(ports[1..<4])
    let common = "--bind 127.0.0.1 --save '' --appendonly no --loglevel warning --logfile log"
    var commands = [
      "cd \(directory.path)", "trap 'kill -9 $(jobs -p)' EXIT",
      "redis-server --port \(single[0]) \(common) &",
    ]
    for (port, bus) in zip(cluster, ports[4...]) {
      commands.append(
        "redis-server --port \(port) \(common) --cluster-enabled yes --cluster-port \(bus) --cluster-config-file nodes.\(port) &"
      )
    }
    // Input ends when nobody holds its other end any more.
    commands.append("cat >/dev/null")
    input = Pipe()
    let shell = Process()
    shell.executableURL = .init(filePath: "/bin/bash")
    shell.arguments = ["-c", commands.joined(separator: "\n")]
    shell.standardInput = input
    shell.standardOutput = FileHandle.nullDevice
    shell.standardError = FileHandle.nullDevice
    try shell.run()
    for port in single + cluster { try Self.wait("PING", port) { $0.contains("PONG") } }
    for (index, port) in cluster.enumerated() {
      _ = try Self.command("CLUSTER SET-CONFIG-EPOCH \(index + 1)", port)
      _ = try Self.command("CLUSTER ADDSLOTSRANGE \(16384 * index / 3) \(16384 * (index + 1) / 3 - 1)", port)
    }
    for port in cluster.dropFirst() {
      _ = try Self.command("CLUSTER MEET 127.0.0.1 \(cluster[0]) \(ports[4])", port)
    }
    for port in cluster {
      try Self.wait("CLUSTER INFO", port) {
        $0.contains("cluster_state:ok") && $0.contains("cluster_known_nodes:3")
      }
    }
    loop.start()
  }

  private static func wait(_ words: String, _ port: UInt16, _ holds: (String) -> Bool) throws {
    let end = Timestamp.now() + .seconds(20)
    while true {
      if let said = try? command(words, port), holds(said) { return }
      guard Timestamp.now() < end else { throw StoreError.unavailable("redis-server on \(port): \(words)") }
      usleep(20_000)
    }
  }

  private static func command(_ words: String, _ port: UInt16) throws -> String {
    let process = Process()
    process.executableURL = .init(filePath: "/usr/bin/env")
    process.arguments = ["redis-cli", "-p", "\(port)"] + words.split(separator: " ").map(String.init)
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let said = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: said, as: UTF8.self)
  }

  /// Different ones, since all are held until the last is found.
  private static func freePorts(_ count: Int) -> [UInt16] {
    let sockets = (0..<count).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
    defer { for one in sockets { Glibc.close(one) } }
    return sockets.map { one in
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      unsafe withUnsafeMutablePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          _ = unsafe bind(one, $0, length)
          _ = unsafe getsockname(one, $0, &length)
        }
      }
      return UInt16(bigEndian: address.sin_port)
    }
  }
}
