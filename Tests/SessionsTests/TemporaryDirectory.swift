import FoundationEssentials
import GRDB
import Glibc

/// A directory that goes away with its owner.
final class TemporaryDirectory: Sendable {
  let path: String

  init() throws {
    path = "/tmp/coatcheck-sessions-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }

  /// All bytes of all files.
  func everyByte() throws -> [UInt8] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted().flatMap { name in
      Array(FileManager.default.contents(atPath: file(name)) ?? Data())
    }
  }

  func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
}

func mode(of path: String) -> UInt32 {
  var status = stat()
  guard unsafe stat(path, &status) == 0 else { return 0 }
  return status.st_mode & 0o777
}

extension [UInt8] {
  /// Whether `text` stands anywhere in these bytes.
  func contains(text: String) -> Bool {
    contains(bytes: Array(text.utf8))
  }

  /// Whether `bytes` stand anywhere in these bytes.
  func contains(bytes needle: [UInt8]) -> Bool {
    guard let first = needle.first else { return true }
    var start = 0
    while let hit = self[start...].firstIndex(of: first) {
      if self[hit...].starts(with: needle) { return true }
      start = hit + 1
    }
    return false
  }
}

extension TemporaryDirectory {
  /// Somebody else at the file, beside the store.
  func sql(_ statement: String) async throws {
    let queue = try DatabaseQueue(path: file("s.db"))
    try await queue.writeWithoutTransaction { try $0.execute(sql: statement) }
    try queue.close()
  }

  func rows(of table: String) async throws -> Int? {
    let queue = try DatabaseQueue(path: file("s.db"))
    let count = try await queue.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM \(table)") }
    try queue.close()
    return count
  }
}
