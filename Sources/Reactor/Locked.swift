internal import Glibc

/// A value that several threads may change, one at a time.
///
/// `@unchecked Sendable`: `value` is handed over for good, reached only between lock and unlock, and nothing that refers to it leaves:
/// `sending` and `R: Sendable` have the compiler see to that. A pthread mutex, because ThreadSanitizer understands it and takes the
/// standard library's `Mutex` for a race. Never hold it across anything that can block or call out.
@safe public final class Locked<Value>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private var value: Value

  public init(_ value: sending Value) {
    self.value = value
    unsafe mutex = .allocate(capacity: 1)
    unsafe pthread_mutex_init(mutex, nil)
  }

  deinit {
    unsafe pthread_mutex_destroy(mutex)
    unsafe mutex.deallocate()
  }

  public func withLock<R: Sendable, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}
