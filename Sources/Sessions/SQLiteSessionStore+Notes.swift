public import Basics
internal import Crypto
internal import FoundationEssentials
internal import GRDB

// Notes: readable are their kind, the digests of owner and key, and their time.
extension SQLiteSessionStore {
  public func put(_ note: Note, keeping limit: Int) async throws(StoreError) {
    try note.checkSize()
    try await transaction { [sealer] db in
      let owner = Self.column(note.owner)
      let key = note.kind.digest(of: note.key, owner: note.owner)
      let place = SealPlace.note(note.kind, note.owner?.digest, key, note.updatedAt)
      // A replaced row gets a new, higher rowid: among notes of one time it is the latest.
      try db.execute(
        sql: "INSERT OR REPLACE INTO notes (kind, owner, key, updated_at, sealed) VALUES (?, ?, ?, ?, ?)",
        arguments: [
          note.kind.name, owner, key.data, note.updatedAt.milliseconds,
          Data(sealer.seal(note.content(), for: place)),
        ])
      try db.execute(
        sql: """
          DELETE FROM notes WHERE rowid IN
          (SELECT rowid FROM notes WHERE kind = ? AND owner = ?
          ORDER BY updated_at DESC, rowid DESC LIMIT -1 OFFSET ?)
          """, arguments: [note.kind.name, owner, max(0, limit)])
    }
  }

  public func notes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) -> [Note] {
    try await transaction { [sealer] db in
      let rows = try Row.fetchAll(
        db,
        sql: """
          SELECT rowid, key, updated_at, sealed FROM notes WHERE kind = ? AND owner = ?
          ORDER BY updated_at DESC, rowid DESC
          """, arguments: [kind.name, Self.column(owner)])
      var notes: [Note] = []
      for row in rows {
        let updatedAt = Timestamp(milliseconds: row[2])
        let key: Data = row[1]
        let sealed: Data = row[3]
        guard let digest = Bytes32(Array(key)) else { continue }
        let envelope = Array(sealed)
        let place = SealPlace.note(kind, owner?.digest, digest, updatedAt)
        guard let content = try? sealer.open(envelope, for: place),
          let note = try? Note(content: content, kind: kind, owner: owner, updatedAt: updatedAt)
        else { continue }
        notes.append(note)
        if !sealer.isCurrent(envelope) {
          // As for sessions: sealed again while it is at hand, so that the old key can be retired.
          let rowid: Int64 = row[0]
          try db.execute(
            sql: "UPDATE notes SET sealed = ? WHERE rowid = ?",
            arguments: [Data(sealer.seal(content, for: place)), rowid])
        }
      }
      return notes
    }
  }

  public func removeNote(_ kind: NoteKind, owner: UserKey?, key: String) async throws(StoreError) {
    try await transaction { db in
      try db.execute(
        sql: "DELETE FROM notes WHERE kind = ? AND owner = ? AND key = ?",
        arguments: [kind.name, Self.column(owner), kind.digest(of: key, owner: owner).data])
    }
  }

  public func removeNotes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) {
    try await transaction { db in
      try db.execute(
        sql: "DELETE FROM notes WHERE kind = ? AND owner = ?", arguments: [kind.name, Self.column(owner)])
    }
  }

  public func sweepNotes(updatedBefore: Timestamp) async throws(StoreError) {
    try await transaction { db in
      try db.execute(
        sql: "DELETE FROM notes WHERE updated_at <= ?", arguments: [updatedBefore.milliseconds])
    }
  }

  private static func column(_ owner: UserKey?) -> Data { owner?.digest.data ?? Data() }
}

extension NoteKind {
  /// What stands for a note's key where it can be read: keys may hold names. The owner is part of it, so that equal keys of
  /// two owners do not look equal.
  func digest(of key: String, owner: UserKey?) -> Bytes32 {
    var writer = RecordWriter()
    writer.append("note")
    writer.append(name)
    writer.append(owner?.digest) { $0.append($1.bytes) }
    writer.append(key)
    return Fingerprint.sha256 { $0.update(data: writer.bytes) }
  }
}

extension Note {
  /// What is sealed of a note; the rest stands in columns.
  func content() -> [UInt8] {
    var writer = RecordWriter()
    writer.append(key)
    writer.append(payload)
    return writer.bytes
  }

  init(content: [UInt8], kind: NoteKind, owner: UserKey?, updatedAt: Timestamp) throws(SealError) {
    var reader = RecordReader(content)
    let key = try reader.text()
    let payload = try reader.data()
    guard reader.isAtEnd else { throw .malformed }
    self.init(kind: kind, owner: owner, key: key, payload: payload, updatedAt: updatedAt)
  }
}
