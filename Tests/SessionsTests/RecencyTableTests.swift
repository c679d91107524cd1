import Testing

@testable import Sessions

@Suite struct `A table that knows the order of use` {
  @Test func `gives up the least recently used first, and asking without use does not count`() {
    var table = RecencyTable<Int, String>()
    for key in 1...4 { table.insert("v\(key)", for: key) }
    #expect(table.use(1) == "v1" && table[2] == "v2")
    #expect(
      (1...5).map { _ in table.removeOldest(probes: 9) { _ in true } } == ["v2", "v3", "v4", "v1", nil])
    #expect(table.count == 0)
  }

  @Test func `passes over what may not go, and looks only so far`() {
    var table = RecencyTable<Int, Int>()
    for key in 1...10 { table.insert(key, for: key) }
    #expect(table.removeOldest(probes: 3) { $0 > 3 } == nil)
    #expect(table.removeOldest(probes: 4) { $0 > 3 } == 4)
    #expect(table.count == 9)
  }

  @Test func `agrees with a plain list under random use`() {
    var table = RecencyTable<Int, Int>()
    var order: [Int] = []
    var seed: UInt64 = 42
    func random(_ bound: Int) -> Int {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(seed >> 33) % bound
    }
    for step in 0..<20_000 {
      let key = random(50)
      switch random(4) {
      case 0:
        table.insert(step, for: key)
        order.removeAll { $0 == key }
        order.append(key)
      case 1:
        let isThere = order.contains(key)
        #expect((table.use(key) != nil) == isThere)
        if isThere {
          order.removeAll { $0 == key }
          order.append(key)
        }
      case 2:
        table.remove(key)
        order.removeAll { $0 == key }
      default:
        let oldest = order.first.map { table[$0] } ?? nil
        #expect(table.removeOldest(probes: 1) { _ in true } == oldest)
        if !order.isEmpty { order.removeFirst() }
      }
      #expect(table.count == order.count)
    }
    #expect(Set(table.values) == Set(order.compactMap { table[$0] }))
  }
}
