/// Stands for no slot.
private let noPlace = UInt32.max

/// A dictionary that knows in which order its values were last used. Every operation takes constant time.
///
/// One slot a value, with the key and the two neighbours in the order of use; and an index of slot numbers by the keys'
/// hashes (open addressing, linear probing): some 60 bytes a value, where a dictionary beside a list takes 200.
///
/// Invariants: from `newest` along `older` every used slot is met once, and `oldest` is the last of them; at most half of
/// `index` is used, so every search ends. Bound: 2³² − 2 values.
struct RecencyTable<Key: Hashable, Value> {
  private typealias Place = UInt32

  private struct Slot {
    var key: Key
    /// Nil in a free slot.
    var value: Value?
    /// In a free slot `older` is the next free one.
    var newer: Place
    var older: Place
  }

  private var slots: ContiguousArray<Slot> = []
  private var index: ContiguousArray<Place> = []
  private var free = noPlace
  private var newest = noPlace
  private var oldest = noPlace
  private(set) var count = 0

  /// Bytes of slots and index, without what the values refer to.
  var allocatedBytes: Int {
    slots.capacity * MemoryLayout<Slot>.stride + index.capacity * MemoryLayout<Place>.stride
  }

  /// All values, in no order.
  var values: some Sequence<Value> { slots.lazy.compactMap { $0.value } }

  /// The value, without counting this as use.
  subscript(key: Key) -> Value? { place(of: key).flatMap { slots[$0].value } }

  /// The value; it is the newest now.
  mutating func use(_ key: Key) -> Value? {
    guard let place = place(of: key) else { return nil }
    if newest != place {
      unlink(place)
      linkAsNewest(Place(place))
    }
    return slots[place].value
  }

  /// Sets the value of a key; it is the newest now.
  mutating func insert(_ value: Value, for key: Key) {
    if let place = place(of: key) {
      slots[place].value = value
      _ = use(key)
      return
    }
    let slot = Slot(key: key, value: value, newer: noPlace, older: noPlace)
    let place: Place
    if free != noPlace {
      place = free
      free = slots[Int(free)].older
      slots[Int(place)] = slot
    } else {
      place = Place(slots.count)
      slots.append(slot)
    }
    count += 1
    if index.count < count * 2 { rebuildIndex() } else { enter(place) }
    linkAsNewest(place)
  }

  @discardableResult
  mutating func remove(_ key: Key) -> Value? {
    guard let place = place(of: key) else { return nil }
    leaveIndex(place)
    unlink(place)
    let value = slots[place].value
    slots[place].value = nil
    slots[place].older = free
    free = Place(place)
    count -= 1
    return value
  }

  /// Removes the least recently used value that may go, looking at no more than `probes` values.
  mutating func removeOldest(probes: Int, where mayGo: (Value) -> Bool) -> Value? {
    var candidate = oldest
    for _ in 0..<probes {
      guard candidate != noPlace, let value = slots[Int(candidate)].value else { return nil }
      if mayGo(value) { return remove(slots[Int(candidate)].key) }
      candidate = slots[Int(candidate)].newer
    }
    return nil
  }

  // MARK: Order

  private mutating func unlink(_ place: Int) {
    let (newer, older) = (slots[place].newer, slots[place].older)
    if newer != noPlace { slots[Int(newer)].older = older } else { newest = older }
    if older != noPlace { slots[Int(older)].newer = newer } else { oldest = newer }
  }

  private mutating func linkAsNewest(_ place: Place) {
    slots[Int(place)].newer = noPlace
    slots[Int(place)].older = newest
    if newest != noPlace { slots[Int(newest)].newer = place } else { oldest = place }
    newest = place
  }

  // MARK: Index

  private func place(of key: Key) -> Int? {
    guard !index.isEmpty else { return nil }
    var at = home(of: key)
    while index[at] != noPlace {
      let place = Int(index[at])
      if slots[place].key == key { return place }
      at = next(at)
    }
    return nil
  }

  /// Where a search for the key begins. The size of the index is a power of two.
  private func home(of key: Key) -> Int { key.hashValue & (index.count - 1) }
  private func next(_ at: Int) -> Int { (at + 1) & (index.count - 1) }

  private mutating func enter(_ place: Place) {
    var at = home(of: slots[Int(place)].key)
    while index[at] != noPlace { at = next(at) }
    index[at] = place
  }

  /// Takes a place out and moves those behind it forward, so that no search ends too early.
  private mutating func leaveIndex(_ place: Int) {
    var gap = home(of: slots[place].key)
    while index[gap] != Place(place) { gap = next(gap) }
    var at = next(gap)
    while index[at] != noPlace {
      let home = home(of: slots[Int(index[at])].key)
      // It may move unless its search begins behind the gap.
      if (at - home) & (index.count - 1) >= (at - gap) & (index.count - 1) {
        index[gap] = index[at]
        gap = at
      }
      at = next(at)
    }
    index[gap] = noPlace
  }

  private mutating func rebuildIndex() {
    var size = max(16, index.count)
    while size < count * 2 { size *= 2 }
    index = ContiguousArray(repeating: noPlace, count: size)
    for place in slots.indices where slots[place].value != nil { enter(Place(place)) }
  }
}
