internal import Basics

/// Where a sealed value belongs: its table, its row and its field. A value opens only at the place it was
/// sealed for, so a copied row is worth nothing.
public struct SealPlace: Sendable, Hashable {
  let associatedData: [UInt8]

  /// A place.
  public init(table: String, row: [UInt8], field: String) {
    var writer = RecordWriter()
    writer.append(table)
    writer.append(row)
    writer.append(field)
    associatedData = writer.bytes
  }
}

// The places of what stores keep: the same in all of them.
extension SealPlace {
  /// A known value, which tells whether the keys fit.
  static let keyCheck = SealPlace(table: "meta", row: Array("key-check".utf8), field: "value")

  static func session(_ hash: TicketHash) -> SealPlace {
    SealPlace(table: "sessions", row: hash.digest.bytes, field: "session")
  }

  /// That one ticket stands for another session until then: all that there is to know is in the place.
  static func alias(_ old: TicketHash, _ new: TicketHash, _ until: Timestamp) -> SealPlace {
    var row = RecordWriter()
    row.append(old.digest.bytes)
    row.append(new.digest.bytes)
    row.append(until)
    return SealPlace(table: "aliases", row: row.bytes, field: "alias")
  }

  /// Owner and expiry stand readable in their columns; being part of the place, they cannot be changed there.
  static func record(
    _ kind: RecordKind, _ key: TicketHash, _ owner: Bytes32?, _ expiresAt: Timestamp
  ) -> SealPlace {
    var row = RecordWriter()
    row.append(kind.name)
    row.append(key.digest.bytes)
    row.append(owner) { $0.append($1.bytes) }
    row.append(expiresAt)
    return SealPlace(table: "records", row: row.bytes, field: "payload")
  }

  /// The time stands readable in its column; being part of the place, it cannot be changed there.
  /// - Parameters:
  ///   - owner: digest of whose it is; nil: the installation's.
  ///   - key: digest of the note's key.
  static func note(_ kind: NoteKind, _ owner: Bytes32?, _ key: Bytes32, _ updatedAt: Timestamp) -> SealPlace {
    var row = RecordWriter()
    row.append(kind.name)
    row.append(owner) { $0.append($1.bytes) }
    row.append(key.bytes)
    row.append(updatedAt)
    return SealPlace(table: "notes", row: row.bytes, field: "payload")
  }
}
