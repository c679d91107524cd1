import Basics
import Dispatch
import HTTP
import Reactor
import Synchronization

@testable import Wire

/// What happened, in order, and a bounded wait for it.
final class Journal: Sendable {
  private let entries = Locked<[String]>([])
  private let signal = DispatchSemaphore(value: 0)

  func add(_ entry: String) {
    entries.withLock { $0.append(entry) }
    signal.signal()
  }

  var all: [String] { entries.withLock { $0 } }

  func count(_ entry: String) -> Int { all.count { $0 == entry } }

  /// Whether `entry` is there `times` times within the tests' patience.
  func waits(for entry: String, times: Int = 1) -> Bool {
    let deadline = DispatchTime.now() + .seconds(RawSocket.patience)
    while count(entry) < times {
      guard DispatchTime.now() < deadline else { return false }
      // Several may wait, and one signal wakes one of them: the others look again a little later.
      _ = signal.wait(timeout: .now() + .milliseconds(5))
    }
    return true
  }
}

/// What a test's handler does. The defaults pass everything through.
struct Script: Sendable {
  var received: @Sendable (Exchange, UpstreamPool) -> Void = { x, pool in
    Pass.request(x)
    x.forward(to: pool)
  }
  var bodyCollected: @Sendable (Exchange, UpstreamPool, Bool) -> Void = { x, pool, _ in
    Pass.request(x)
    x.forward(to: pool)
  }
  var answerHead: @Sendable (Exchange, UpstreamPool) -> AnswerPlan = { x, _ in
    Pass.answer(x)
    return .relay
  }
  var answerCollected: @Sendable (Exchange, UpstreamPool) -> Void = { x, _ in
    Pass.answer(x)
    x.relayCollected()
  }
  var answerTooLong: @Sendable (Exchange, UpstreamPool) -> Void = { x, _ in
    Pass.answer(x)
    x.relayCollected()
  }
  var event: @Sendable (Exchange, String) -> EventVerdict = { _, _ in .pass }
  var upstreamFailed: @Sendable (Exchange, UpstreamFailure) -> Void = { x, failure in
    let status: Int
    switch failure.kind {
    case .timeoutConnect, .timeoutHeaders: status = 504
    case .overloaded, .stopping: status = 503
    case .requestMalformed: status = 400
    case .requestTimeout: status = 408
    case .requestTooLong: status = 413
    default: status = 502
    }
    x.respond(status: status, body: Array("\(failure.kind)".utf8))
  }
}

/// Heads as a plain proxy copies them.
enum Pass {
  static func request(_ x: Exchange) {
    x.upstreamHead.removeAll()
    x.upstreamHead.append(from: x.requestBytes, x.request.methodRange)
    x.upstreamHead.append(" " as StaticString)
    x.upstreamHead.append(from: x.requestBytes, x.request.target)
    x.upstreamHead.append(" HTTP/1.1\r\nHost: upstream\r\n" as StaticString)
    for field in x.request.fields where !field.isHopByHop && field.id != .host && field.id != .expect {
      x.upstreamHead.appendField(field, from: x.requestBytes)
    }
  }

  static func answer(_ x: Exchange) {
    x.clientHead.removeAll()
    x.clientHead.appendStatusLine(x.answer.status)
    for field in x.answer.fields where !field.isHopByHop && field.id != .date && field.id != .contentEncoding
    {
      x.clientHead.appendField(field, from: x.answerBytes)
    }
  }
}

/// Writes down what happens and follows a script.
final class ScriptedHandler: ExchangeHandler {
  let script: Script
  let journal: Journal
  var pool: UpstreamPool

  init(_ script: Script, _ journal: Journal, _ pool: UpstreamPool) {
    self.script = script
    self.journal = journal
    self.pool = pool
  }

  func received(_ x: Exchange) {
    journal.add("received")
    script.received(x, pool)
  }
  func bodyCollected(_ x: Exchange, complete: Bool) {
    journal.add("collected \(complete)")
    script.bodyCollected(x, pool, complete)
  }
  func answerHead(_ x: Exchange) -> AnswerPlan {
    journal.add("answer \(x.answer.status)")
    return script.answerHead(x, pool)
  }
  func answerCollected(_ x: Exchange) {
    journal.add("answer collected")
    script.answerCollected(x, pool)
  }
  func answerTooLong(_ x: Exchange) {
    journal.add("answer too long")
    script.answerTooLong(x, pool)
  }
  func event(_ x: Exchange, _ event: borrowing Buffer, _ range: Range<Int>) -> EventVerdict {
    script.event(x, event.string(range))
  }
  func upstreamFailed(_ x: Exchange, _ failure: UpstreamFailure) {
    journal.add("failed \(failure.kind)")
    script.upstreamFailed(x, failure)
  }
  func clientGone(_ x: Exchange) { journal.add("gone") }
  func finished(_ x: Exchange) {
    journal.add("finished \(x.stats.end)")
    journal.add("attempts \(x.stats.attempts)")
  }
}

/// A running loop with a server and a pool in front of a scripted upstream.
final class Rig: Sendable {
  let loop = EventLoop(name: "test")
  let journal = Journal()
  let upstream: ScriptedUpstream
  private let parts: Mutex<LoopBound<(server: HTTPServer, pool: UpstreamPool)>?> = Mutex(nil)
  private let boundPort = Atomic<UInt16>(0)

  var port: UInt16 { boundPort.load(ordering: .relaxed) }

  init(
    script: Script = Script(), limits: ServerLimits = ServerLimits(),
    timeouts: ServerTimeouts = ServerTimeouts(), tls: TLSServerContext? = nil,
    settings: @Sendable (inout UpstreamSettings) -> Void = { _ in },
    upstream: ScriptedUpstream
  ) {
    self.upstream = upstream
    var upstreamSettings = UpstreamSettings(host: "127.0.0.1", port: upstream.port)
    settings(&upstreamSettings)
    let (loop, journal) = (loop, journal)
    let fixed = upstreamSettings
    loop.start()
    let (bound, port) = onLoop {
      let pool = UpstreamPool(loop: loop, settings: fixed, connector: connector(loop))
      let handler = ScriptedHandler(script, journal, pool)
      let server = HTTPServer(loop: loop, handler: handler, tls: tls, limits: limits, timeouts: timeouts)
      do {
        try server.listen(on: Self.anyPort)
      } catch {
        preconditionFailure("cannot listen: \(error)")
      }
      return (LoopBound((server: server, pool: pool), on: loop), server.address?.port ?? 0)
    }
    parts.withLock { $0 = bound }
    boundPort.store(port, ordering: .relaxed)
  }

  static var anyPort: SocketAddress { SocketAddress(bytes: [127, 0, 0, 1], port: 0) }

  /// Runs `body` on the loop and waits for it.
  func onLoop<R: Sendable>(_ body: @escaping @Sendable () -> R) -> R {
    let result = Mutex<R?>(nil)
    let done = DispatchSemaphore(value: 0)
    let box = Box(result: result, done: done)
    loop.execute {
      let value = body()
      box.result.withLock { $0 = value }
      box.done.signal()
    }
    precondition(box.done.wait(timeout: .now() + .seconds(RawSocket.patience)) == .success, "loop is stuck")
    guard let value = box.result.withLock({ $0 }) else { preconditionFailure("no result") }
    return value
  }

  private final class Box<R: Sendable>: Sendable {
    let result: Mutex<R?>
    let done: DispatchSemaphore
    init(result: consuming Mutex<R?>, done: DispatchSemaphore) {
      self.result = result
      self.done = done
    }
  }

  /// Runs `body` with the server and the pool.
  func with<R: Sendable>(_ body: @escaping @Sendable (HTTPServer, UpstreamPool) -> R) -> R {
    guard let bound = parts.withLock({ $0 }) else { preconditionFailure("not started") }
    return onLoop { body(bound.value.server, bound.value.pool) }
  }

  /// Waits until `condition` holds on the loop.
  func eventually(_ condition: @escaping @Sendable (HTTPServer, UpstreamPool) -> Bool) -> Bool {
    let deadline = DispatchTime.now() + .seconds(RawSocket.patience)
    while DispatchTime.now() < deadline {
      if with(condition) { return true }
    }
    return false
  }

  func client(receiveBuffer: Int32? = nil) -> MessageReader {
    MessageReader(RawSocket.connect(port: port, receiveBuffer: receiveBuffer))
  }

  /// Ends everything.
  func stop() {
    with { server, pool in
      server.stop()
      pool.close()
    }
    upstream.close()
    // Not waited for: tests block the threads that tasks run on.
    Task { [loop] in await loop.stop() }
  }
}

/// A connector with threads of its own for names.
func connector(_ loop: EventLoop) -> Connector {
  Connector(loop: loop, blocking: BlockingPool(width: 1, capacity: 16))
}

/// Runs a test with a rig and stops it afterwards.
func withRig(
  script: Script = Script(), limits: ServerLimits = ServerLimits(),
  timeouts: ServerTimeouts = ServerTimeouts(),
  settings: @Sendable (inout UpstreamSettings) -> Void = { _ in },
  upstream: @escaping @Sendable (ScriptedUpstream.Connection) -> Void,
  _ body: (Rig) throws -> Void
) throws {
  let rig = Rig(
    script: script, limits: limits, timeouts: timeouts, settings: settings,
    upstream: ScriptedUpstream(upstream))
  defer { rig.stop() }
  try body(rig)
}
