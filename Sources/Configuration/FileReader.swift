internal import Glibc

/// Reading of small files. Blocks, so never on a loop.
public enum FileReader {
  /// Why a file cannot be used.
  public struct Failure: Error, CustomStringConvertible {
    /// One clause that names no path.
    public let message: String
    /// Whether there is no such file.
    public let isMissing: Bool

    public var description: String { "the file " + message }
  }

  /// The content of a regular file of at most `limit` bytes.
  /// - Parameter isPrivate: refuse a file that others than its owner and its group can read, or others than its
  ///   owner can write.
  public static func read(_ path: String, limit: Int, isPrivate: Bool = false) throws(Failure) -> [UInt8] {
    guard !path.isEmpty, !path.utf8.contains(0) else { throw failure(ENOENT) }
    // O_NONBLOCK: opening a pipe that nobody writes to must not hang.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw failure(errno) }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw failure(errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw Failure(message: "is not a regular file", isMissing: false)
    }
    guard !isPrivate || status.st_mode & 0o027 == 0 else {
      throw Failure(
        message: "can be read by other users or written by its group: use mode 0600 or 0640", isMissing: false
      )
    }
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = unsafe chunk.withUnsafeMutableBytes {
        unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
      }
      if count == 0 { return content }
      guard count > 0 else {
        if errno == EINTR { continue }
        throw failure(errno)
      }
      content += chunk[..<count]
      guard content.count <= limit else {
        throw Failure(message: "is longer than \(limit) bytes", isMissing: false)
      }
    }
  }

  /// Why no file can be made in `directory`; nil when one can.
  static func problem(directory: String) -> Failure? {
    let directory = directory.isEmpty ? "." : directory
    guard unsafe access(directory, W_OK | X_OK) == 0 else { return failure(errno, "cannot be written to") }
    var status = stat()
    guard unsafe stat(directory, &status) == 0 else { return failure(errno) }
    let isDirectory = status.st_mode & S_IFMT == S_IFDIR
    return isDirectory ? nil : Failure(message: "is not a directory", isMissing: false)
  }

  private static func failure(_ code: Int32, _ what: String = "cannot be read") -> Failure {
    if code == ENOENT { return Failure(message: "does not exist", isMissing: true) }
    return Failure(message: "\(what): \(unsafe String(cString: strerror(code)))", isMissing: false)
  }
}
