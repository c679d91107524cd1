internal import Basics
internal import Reactor

/// Commands that were sent to a cluster together: split by node, sent again where a node says that another one serves them, and put
/// together in order.
///
/// Owner: the loop; alive until its completion. Only commands that were certainly not carried out are sent again: bounded in number,
/// and those that have to wait for the cluster also in time.
final class ClusterRequest {
  private struct Target: Hashable {
    var endpoint: RedisEndpoint
    /// The node takes the command for a slot that it is about to get.
    var asks: Bool
  }

  private let cluster: RedisCluster
  private let commands: [RedisCommand]
  private let completion: (Result<[RedisValue], RedisError>) -> Void
  private let deadline: MonotonicTime
  private var answers: [RedisValue]
  /// Indices of commands without an answer that counts, in order.
  private var open: [Int]
  /// Who is to be asked, for those whose slot is being moved.
  private var asked: [Int: RedisEndpoint] = [:]
  private var tries = 0
  private var underway = 0
  private var failure: RedisError?
  /// Why commands are sent again.
  private var lastRefusal = RedisError.unavailable("no node of the cluster serves the slot")
  /// The cluster needs time before the next try.
  private var mustPause = false
  /// The map has to be read before the next try.
  private var mustRead = false

  private static let maxTries = 6
  /// Between tries of what the cluster cannot do at the moment.
  private static let pause = Duration.milliseconds(50)

  init(
    _ cluster: RedisCluster, _ commands: [RedisCommand],
    _ completion: @escaping (Result<[RedisValue], RedisError>) -> Void
  ) {
    self.cluster = cluster
    self.commands = commands
    self.completion = completion
    let settings = cluster.parts.settings
    deadline = cluster.parts.loop.now + settings.commandTimeout
    answers = [RedisValue](repeating: .null, count: commands.count)
    open = Array(commands.indices)
  }

  func run() {
    tries += 1
    mustPause = false
    mustRead = false
    let now = open
    open = []
    // Held back until everything is sent: an outcome may come at once.
    underway = 1
    for (target, indices) in grouped(now) { send(indices, target) }
    partEnded()
  }

  /// Commands of one node stay in order, and on one connection.
  private func grouped(_ indices: [Int]) -> [(Target, [Int])] {
    var groups: [(Target, [Int])] = []
    var places: [Target: Int] = [:]
    for index in indices {
      let askee = asked.removeValue(forKey: index)
      guard let endpoint = askee ?? cluster.master(for: commands[index]) else {
        again(index, .unavailable("no node of the cluster serves the slot"))
        mustRead = true
        mustPause = true
        continue
      }
      let target = Target(endpoint: endpoint, asks: askee != nil)
      if let place = places[target] {
        groups[place].1.append(index)
      } else {
        places[target] = groups.count
        groups.append((target, [index]))
      }
    }
    return groups
  }

  private func send(_ indices: [Int], _ target: Target) {
    guard let node = cluster.reach(target.endpoint) else {
      failure = .unavailable("\(target.endpoint) is not used any more")
      return
    }
    underway += 1
    let batch = indices.flatMap {
      target.asks ? [RedisCommand("ASKING"), commands[$0]] : [commands[$0]]
    }
    node.submit(
      RedisBatch(batch) { [self] outcome in
        switch outcome {
        case .unknown(let error):
          failure = error
          // The node may be gone.
          cluster.read { _ in }
        case .refused(let error): failure = error
        case .unsent(let error):
          for index in indices { again(index, error) }
          mustRead = true
        case .answers(let all):
          let step = target.asks ? 2 : 1
          for (place, index) in indices.enumerated() where place * step + step - 1 < all.count {
            answered(index, all[place * step + step - 1], target.endpoint)
          }
        }
        partEnded()
      })
  }

  private func answered(_ index: Int, _ answer: RedisValue, _ node: RedisEndpoint) {
    switch answer.errorCode {
    case "MOVED":
      guard let redirect = ClusterRedirect(answer, by: node) else { break }
      cluster.moved(redirect)
      return again(index, .unavailable("the slot moves about"))
    case "ASK":
      guard let redirect = ClusterRedirect(answer, by: node) else { break }
      if commands[index].isScript {
        // Part of what it touches may still be where it came from: it would take that for missing. It waits until the slot has moved.
        mustPause = true
        mustRead = true
        return again(index, .unavailable("the slot is being moved"))
      }
      asked[index] = redirect.endpoint
      return again(index, .unavailable("the slot moves about"))
    case "TRYAGAIN", "CLUSTERDOWN":
      mustPause = true
      mustRead = true
      return again(index, RedisError.unavailability(answer) ?? lastRefusal)
    default: break
    }
    answers[index] = answer
  }

  private func again(_ index: Int, _ why: RedisError) {
    open.append(index)
    lastRefusal = why
  }

  private func partEnded() {
    underway -= 1
    guard underway == 0 else { return }
    if let failure { return completion(.failure(failure)) }
    guard !open.isEmpty else { return completion(.success(answers)) }
    open.sort()
    let loop = cluster.parts.loop
    guard mustPause ? loop.now < deadline : tries < Self.maxTries else {
      return completion(.failure(lastRefusal))
    }
    if mustPause {
      let me = LoopBound(self, on: loop)
      loop.spawn {
        try? await me.loop.sleep(for: Self.pause)
        me.value.readAndRun()
      }
    } else {
      readAndRun()
    }
  }

  private func readAndRun() {
    guard mustRead else { return run() }
    cluster.read { [self] error in
      // Without a new map nothing would come of another try.
      if let error { return completion(.failure(error)) }
      run()
    }
  }
}

extension RedisCommand {
  /// Whether it may touch keys that it does not name.
  fileprivate var isScript: Bool { arguments.first.map { $0.starts(with: "EVAL".utf8) } ?? false }
}
