import Basics
import Dispatch
import HTTP
import Synchronization

/// A serial executor on a Dispatch queue, in place of an event loop.
final class QueueExecutor: SerialExecutor {
  static let shared = QueueExecutor()
  private let queue = DispatchQueue(label: "oauth-tests")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { unsafe job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }
}

/// Wall-clock time that moves only when told.
final class FakeClock: Sendable {
  private let time: Mutex<Timestamp>

  init(seconds: Int64 = 1_767_225_600) { time = Mutex(Timestamp(seconds: seconds)) }

  var now: Timestamp { time.withLock { $0 } }
  var wall: WallClock { { self.now } }
  func advance(by duration: Duration) { time.withLock { $0 = $0 + duration } }
}

/// Answers requests from a script and remembers them.
final class ScriptedTransport: HTTPTransport {
  typealias Answer = Result<FetchResponse, TransportError>

  private struct State {
    var answers: [String: [Answer]] = [:]
    var requests: [FetchRequest] = []
    var gates: [CheckedContinuation<Void, Never>] = []
    var isGated = false
  }

  private let state = Mutex(State())

  /// What `path` answers from now on: each once, the last for ever.
  func script(_ path: String, _ answers: Answer...) { state.withLock { $0.answers[path] = answers } }
  func script(_ path: String, status: Int = 200, fields: [(name: String, value: String)] = [], _ body: String)
  {
    script(path, .success(FetchResponse(status: status, fields: fields, body: Array(body.utf8))))
  }

  func requests(to path: String) -> [FetchRequest] {
    state.withLock { $0.requests.filter { $0.url.path == path } }
  }
  func count(_ path: String) -> Int { requests(to: path).count }
  var all: [FetchRequest] { state.withLock { $0.requests } }

  /// From now on requests wait until the gate opens.
  func closeGate() { state.withLock { $0.isGated = true } }
  func openGate() {
    let waiting = state.withLock { state in
      state.isGated = false
      defer { state.gates = [] }
      return state.gates
    }
    for continuation in waiting { continuation.resume() }
  }
  var isWaiting: Bool { state.withLock { !$0.gates.isEmpty } }

  func send(_ request: FetchRequest) async throws(TransportError) -> FetchResponse {
    state.withLock { $0.requests.append(request) }
    await withCheckedContinuation { continuation in
      let isGated = state.withLock { state in
        if state.isGated { state.gates.append(continuation) }
        return state.isGated
      }
      if !isGated { continuation.resume() }
    }
    let answer = state.withLock { state -> Answer in
      guard var answers = state.answers[request.url.path], let first = answers.first else {
        return .success(FetchResponse(status: 404))
      }
      if answers.count > 1 { answers.removeFirst() }
      state.answers[request.url.path] = answers
      return first
    }
    return try answer.get()
  }
}

extension FetchRequest {
  var form: [(String, String)] { PercentEncoding.parseQuery(String(decoding: body, as: UTF8.self)) }
  func form(_ name: String) -> String? { form.first { $0.0 == name }?.1 }
  func field(_ name: String) -> String? { fields.first { $0.name == name }?.value }
}
