import Basics
import Glibc

// What libFuzzer calls. All targets are in one executable; `--target=NAME` chooses, `--list` names them (libFuzzer ignores arguments
// that begin with two dashes).

nonisolated(unsafe) private var chosen: Target?

/// Called once, before anything is tried.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(
  _ count: UnsafePointer<CInt>, _ arguments: UnsafePointer<UnsafePointer<UnsafePointer<CChar>>>
) -> CInt {
  for i in 0..<Int(unsafe count.pointee) {
    let argument = unsafe String(cString: arguments.pointee[i])
    if argument == "--list" {
      for target in Target.all { print(target.name) }
      exit(0)
    }
    if argument.hasPrefix("--target=") {
      let name = argument.dropFirst("--target=".count)
      unsafe chosen = Target.all.first { $0.name == name }
    }
  }
  guard unsafe chosen != nil else {
    print("no such target: --target=NAME, one of \(Target.all.map { $0.name }.joined(separator: " "))")
    exit(2)
  }
  return 0
}

/// Called for every input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe chosen?.check(Array(UnsafeBufferPointer(start: data, count: count)))
  return 0
}
