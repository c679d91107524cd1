internal import Basics
internal import HTTP
internal import Reactor

/// One request of the proxy's own client and its response.
///
/// Owner: ``HTTPClientState``. Ends exactly once, by ``finish(_:)``.
final class ClientCall: Pollable {
  private enum State {
    case ready
    /// For its turn.
    case waiting
    case connecting(Connector.Attempt)
    case exchanging(Stream)
    case over
  }

  private let client: HTTPClientState
  private let request: FetchRequest
  private let completion: (Result<FetchResponse, TransportError>, _ hasRun: Bool) -> Void
  private var hasRun = false
  private var state = State.ready
  private var timer: LoopTimer?
  private var isReused = false
  private var isWritable = true
  private var isReadable = false
  private var out = Buffer()
  private var input = Buffer()
  private var rest = Buffer()
  private var body = Buffer()
  private var head = ResponseHead()
  private var reader = BodyReader()
  private let method: Method

  init(
    client: HTTPClientState, request: FetchRequest,
    completion: @escaping (Result<FetchResponse, TransportError>, _ hasRun: Bool) -> Void
  ) {
    self.client = client
    self.request = request
    self.completion = completion
    method = Method.allCases.first { $0 != .other && $0.name.description == request.method } ?? .other
  }

  var isWaiting: Bool {
    if case .waiting = state { true } else { false }
  }

  /// Until `start`, or until it took too long. Nothing was sent then.
  func wait() {
    state = .waiting
    timer = LoopTimer(loop: client.loop) { [unowned self] in
      finish(.failure(TransportError(.connect, "its turn did not come in time")))
    }
    timer?.arm(after: client.settings.timeout)
  }

  func start() {
    hasRun = true
    state = .ready
    timer?.disarm()
    timer = LoopTimer(loop: client.loop) { [unowned self] in finish(.failure(TransportError(.timeout))) }
    timer?.arm(after: client.settings.timeout)
    guard !request.method.isEmpty, request.method.utf8.allSatisfy({ (0x41...0x5A).contains($0) }) else {
      return finish(.failure(TransportError(.protocolError, "malformed method")))
    }
    if let stream = client.takeIdle(request.url.origin) {
      isReused = true
      exchange(over: stream)
    } else {
      connect()
    }
  }

  func ready(_ events: PollEvents) {
    if events.contains(.writable) { isWritable = true }
    if events != .writable { isReadable = true }
    run()
  }

  func finish(_ result: Result<FetchResponse, TransportError>, keeping stream: Stream? = nil) {
    switch state {
    case .over: return
    case .ready, .waiting: break
    case .connecting(let attempt): attempt.cancel()
    case .exchanging(let used): if used !== stream { used.close() }
    }
    state = .over
    timer?.disarm()
    timer = nil
    if let stream { client.keep(stream, request.url.origin) }
    completion(result, hasRun)
  }

  private func connect() {
    let tls = request.url.isSecure ? client.settings.tls : nil
    isReused = false
    state = .connecting(
      client.connector.connect(
        host: request.url.host, port: request.url.port, tls: tls, timeout: client.settings.connectTimeout
      ) { [weak self] result in self?.connected(result) })
  }

  private func connected(_ result: Result<Stream, ConnectError>) {
    guard case .connecting = state else {
      if case .success(let stream) = result { stream.close() }
      return
    }
    switch result {
    case .success(let stream): exchange(over: stream)
    case .failure(let error): finish(.failure(TransportError(error.transportKind, error.detail)))
    }
  }

  private func exchange(over stream: Stream) {
    state = .exchanging(stream)
    isWritable = true
    isReadable = false
    compose()
    stream.setHandler(self)
    run()
  }

  private func compose() {
    out.removeAll()
    out.append(request.method)
    out.append(UInt8(ascii: " "))
    out.append(request.url.requestTarget)
    out.append(" HTTP/1.1\r\n" as StaticString)
    out.appendField("Host", request.url.authority)
    var hasCoding = false
    for field in request.fields {
      hasCoding = hasCoding || ASCII.equalsIgnoringCase(field.name, "accept-encoding")
      out.append(field.name)
      out.appendField("", field.value)
    }
    if !hasCoding { out.appendField("Accept-Encoding", "gzip, deflate" as StaticString) }
    if !request.body.isEmpty || method.hasBodyByCustom {
      AnswerHead.appendContentLength(UInt64(request.body.count), to: &out)
    }
    out.append("\r\n" as StaticString)
    out.append(request.body)
  }

  private func run() {
    guard case .exchanging(let stream) = state else { return }
    while isWritable, !out.isEmpty {
      switch stream.write(from: &out) {
      case .bytes: break
      case .wouldBlock: isWritable = false
      case .endOfStream, .failed:
        // A response may be here all the same.
        out.removeAll()
        isReadable = true
      }
    }
    do throws(TransportError) {
      while case .exchanging = state, try step(stream) {}
    } catch {
      finish(.failure(error))
    }
  }

  /// One step of reading; false when nothing is there.
  private func step(_ stream: Stream) throws(TransportError) -> Bool {
    if head.isComplete {
      if reader.isFinished {
        try complete(stream)
        return false
      }
      guard body.count <= client.settings.maxResponseBytes else { throw tooLarge }
      let room = client.settings.maxResponseBytes - body.count + 1
      if try mapped({ () throws(HTTPError) in try reader.pull(from: &rest, into: &body, atMost: room) }) {
        return true
      }
      return try receive(stream, isBody: true)
    }
    let limits = client.settings.headLimits
    if try mapped({ () throws(HTTPError) in try head.parse(input, limits: limits, requestMethod: method) }) {
      if head.isInterim {
        input.consume(head.byteCount)
        head.reset()
        return true
      }
      guard head.status != 101 else { throw TransportError(.protocolError, "protocol switch") }
      rest.append(from: input, head.byteCount..<input.count)
      input.truncate(to: head.byteCount)
      reader.begin(head.framing, errorStatus: 502)
      return true
    }
    return try receive(stream, isBody: false)
  }

  private func receive(_ stream: Stream, isBody: Bool) throws(TransportError) -> Bool {
    guard isReadable else { return false }
    let outcome =
      isBody ? stream.read(into: &rest, max: Self.readBytes) : stream.read(into: &input, max: Self.readBytes)
    switch outcome {
    case .bytes: return true
    case .wouldBlock:
      isReadable = false
      return false
    case .endOfStream: if isBody, reader.endOfInput() { return true }
    case .failed: break
    }
    if isReused, !head.isComplete, input.isEmpty, method.isSafe {
      stream.close()
      connect()
      return false
    }
    throw TransportError(.closed, "connection closed before the response was complete")
  }

  private func complete(_ stream: Stream) throws(TransportError) {
    let isReusable = head.isKeepAlive && rest.isEmpty && out.isEmpty && head.framing != .untilClose
    guard body.count <= client.settings.maxResponseBytes else { throw tooLarge }
    var fields: [(name: String, value: String)] = []
    for slot in head.fields { fields.append((input.string(slot.name), input.string(slot.value))) }
    let response = FetchResponse(status: head.status, fields: fields, body: try decoded())
    finish(.success(response), keeping: isReusable ? stream : nil)
  }

  private func decoded() throws(TransportError) -> [UInt8] {
    guard !body.isEmpty else { return [] }
    guard let coding = ContentCoding(of: head, input) else {
      throw TransportError(.protocolError, "unknown content coding")
    }
    do throws(ContentCodingError) {
      return try ContentDecoder.decode(body.array(), coding, maxBytes: client.settings.maxResponseBytes)
    } catch {
      if case .tooLong = error { throw tooLarge }
      throw TransportError(.protocolError, "content coding: \(error)")
    }
  }

  private var tooLarge: TransportError {
    TransportError(.tooLarge, "response longer than \(client.settings.maxResponseBytes) bytes")
  }

  private func mapped(_ body: () throws(HTTPError) -> Bool) throws(TransportError) -> Bool {
    do throws(HTTPError) {
      return try body()
    } catch {
      throw TransportError(.protocolError, error.description)
    }
  }

  private static let readBytes = 16 * 1024
}
