/// A dictionary that knows in which order its values were last used. Every operation takes constant time.
///
/// Invariant: from `newest` along `older` every used slot is met once, and `oldest` is the last of them.
struct RecencyTable<Key: Hashable, Value> {
  private struct Slot {
    var key: Key
    var value: Value
    var newer: Int?
    var older: Int?
  }

  private var slots: ContiguousArray<Slot?> = []
  private var free: [Int] = []
  private var places: [Key: Int] = [:]
  private var newest: Int?
  private var oldest: Int?

  var count: Int { places.count }

  /// All values, in no order.
  var values: some Sequence<Value> { slots.lazy.compactMap { $0?.value } }

  /// The value, without counting this as use.
  subscript(key: Key) -> Value? { places[key].flatMap { slots[$0]?.value } }

  /// The value; it is the newest now.
  mutating func use(_ key: Key) -> Value? {
    guard let place = places[key] else { return nil }
    if newest != place {
      unlink(place)
      linkAsNewest(place)
    }
    return slots[place]?.value
  }

  /// Sets the value of a key; it is the newest now.
  mutating func insert(_ value: Value, for key: Key) {
    if let place = places[key] {
      slots[place]?.value = value
      _ = use(key)
      return
    }
    let slot = Slot(key: key, value: value, newer: nil, older: nil)
    let place: Int
    if let reused = free.popLast() {
      place = reused
      slots[place] = slot
    } else {
      place = slots.count
      slots.append(slot)
    }
    places[key] = place
    linkAsNewest(place)
  }

  @discardableResult
  mutating func remove(_ key: Key) -> Value? {
    guard let place = places.removeValue(forKey: key) else { return nil }
    unlink(place)
    let value = slots[place]?.value
    slots[place] = nil
    free.append(place)
    return value
  }

  /// Removes the least recently used value that may go, looking at no more than `probes` values.
  mutating func removeOldest(probes: Int, where mayGo: (Value) -> Bool) -> Value? {
    var candidate = oldest
    for _ in 0..<probes {
      guard let place = candidate, let slot = slots[place] else { return nil }
      if mayGo(slot.value) { return remove(slot.key) }
      candidate = slot.newer
    }
    return nil
  }

  private mutating func unlink(_ place: Int) {
    let newer = slots[place]?.newer
    let older = slots[place]?.older
    if let newer { slots[newer]?.older = older } else { newest = older }
    if let older { slots[older]?.newer = newer } else { oldest = newer }
  }

  private mutating func linkAsNewest(_ place: Int) {
    slots[place]?.newer = nil
    slots[place]?.older = newest
    if let newest { slots[newest]?.newer = place } else { oldest = place }
    newest = place
  }
}
