internal import Glibc

/// What tells whether a file is still the same: of the file that the name leads to.
struct FileLook: Sendable, Equatable {
  private var device: UInt = 0
  private var inode: UInt = 0
  private var size: Int = 0
  private var modified = [0, 0]
  private var changed = [0, 0]

  /// Blocks. A file that is not there is told from every other.
  static func at(_ files: [String]) -> [FileLook] {
    files.map { file in
      var status = stat()
      guard unsafe stat(file, &status) == 0 else { return FileLook() }
      return FileLook(
        device: UInt(status.st_dev), inode: UInt(status.st_ino), size: Int(status.st_size),
        modified: [status.st_mtim.tv_sec, status.st_mtim.tv_nsec],
        changed: [status.st_ctim.tv_sec, status.st_ctim.tv_nsec])
    }
  }
}
