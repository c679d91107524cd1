internal import CLinux

/// What the whole process does about its memory. For moments when much of it is not needed any more: both calls take
/// milliseconds, so they belong beside the loops.
public enum ProcessMemory {
  /// After the start: most of the code that ran will not run again. Its pages are the file's and stay in the page cache.
  public static func releaseStart() {
    coatcheck_release_heap()
    coatcheck_release_code()
  }

  /// After many connections have gone: gives the pages that they leave free back to the kernel, which malloc by itself does
  /// only at the end of a heap.
  public static func releaseFree() { coatcheck_release_heap() }
}
