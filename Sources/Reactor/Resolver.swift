internal import Glibc

/// The system's resolver (`/etc/hosts`, DNS, whatever `nsswitch.conf` says). Blocks, so it runs on a `BlockingPool`.
@safe enum Resolver {
  /// All addresses of a host, without ports, in the system's order of preference (RFC 6724).
  static func addresses(of host: String) -> Result<[SocketAddress], ConnectError> {
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = AF_UNSPEC
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    unsafe hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>? = nil
    let code = unsafe getaddrinfo(host, nil, &hints, &list)
    defer { if let list = unsafe list { unsafe freeaddrinfo(list) } }
    guard code == 0 else {
      let isOurs = code == EAI_MEMORY || code == EAI_SYSTEM && Syscalls.isExhaustion(errno)
      return .failure(
        ConnectError(
          isOurs ? .exhausted : .resolve, "\(host): \(unsafe String(cString: gai_strerror(code)))"))
    }
    var found: [SocketAddress] = []
    var entry = unsafe list
    while let item = unsafe entry {
      if let pointer = unsafe item.pointee.ai_addr {
        var storage = sockaddr_storage()
        let length = unsafe min(Int(item.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size)
        unsafe withUnsafeMutableBytes(of: &storage) { to in
          unsafe to.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: length))
        }
        if let address = SocketAddress(storage: storage), !found.contains(address) { found.append(address) }
      }
      unsafe entry = item.pointee.ai_next
    }
    guard !found.isEmpty else { return .failure(ConnectError(.resolve, "\(host) has no address")) }
    return .success(found)
  }
}
