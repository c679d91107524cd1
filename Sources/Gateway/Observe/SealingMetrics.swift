/// What is counted of sealing keys.
struct SealingMetrics: Sendable {
  private(set) var keys = 0
  private(set) var reloads: UInt64 = 0
  private(set) var reloadFailures: UInt64 = 0
  private(set) var resealed: UInt64 = 0
  private(set) var isResealing = false
  private(set) var unreadable = 0

  mutating func count(_ event: KeyRingWatch.Event) {
    switch event {
    case .taken(let keys):
      // The first time is the start.
      if self.keys > 0 { reloads += 1 }
      self.keys = keys
    case .refused: reloadFailures += 1
    case .resealing(let isOn): isResealing = isOn
    case .resealed(let count): resealed += UInt64(clamping: count)
    case .unreadable(let count): unreadable = count
    }
  }
}
