internal import Basics
internal import GRDB

/// Sessions in an SQLite file, sealed.
public final class SQLiteSessionStore: Sendable {
  /// Opens the file, makes it (mode 0600) where there is none.
  public static func open(path: String, sealer: Sealer, maxRecordsPerKind: Int = 50_000) async throws(StoreError)
    -> any SessionStore { fatalError() }
}
