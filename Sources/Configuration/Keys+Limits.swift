internal import Basics
internal import JSON

extension Configuration.Streams {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "keep_alive", \.keepAlive, .duration(.milliseconds(50) ... .seconds(3600)),
          """
          When nothing was sent on a stream for this long, a comment is, so that no proxy on the way \
          takes it for dead. The shortest idle limits in the field are 30 s.
          """
        ),
        make.value(
          "max_event_bytes", \.maxEventBytes, .size(1 << 10...16 << 20),
          """
          The longest event that is looked into for a demand for consent. A longer one passes through \
          unseen.
          """
        ),
      ]
    }
  }
}

extension Configuration.Timeouts {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "connect", \.connect, .duration(.milliseconds(50) ... .seconds(120)),
          "Name resolution, connection and TLS handshake with an upstream or the provider."),
        make.value(
          "request_headers", \.requestHeaders, .duration(.milliseconds(100) ... .seconds(600)),
          "From the first byte of a request's head to its last."),
        make.value(
          "request_body", \.requestBody, .duration(.milliseconds(100) ... .seconds(3600)),
          "The longest pause inside a request body."),
        make.value(
          "response_headers", \.responseHeaders, .duration(.milliseconds(100) ... .seconds(86400)),
          "From the last byte of a request to the head of the upstream's answer: tools may think for long."),
        make.value(
          "idle", \.idle, .duration(.milliseconds(100) ... .seconds(86400)),
          "How long a client connection may stay without a request."),
        make.value(
          "upstream_idle", \.upstreamIdle, .duration(.milliseconds(100) ... .seconds(3600)),
          """
          How long an unused connection to an upstream is kept. Below the 5 s after which common servers \
          close theirs.
          """
        ),
        make.value(
          "write", \.write, .duration(.milliseconds(100) ... .seconds(3600)),
          "How long a client may take none of the bytes that wait for it."),
        make.value(
          "drain", \.drain, .duration(.zero ... .seconds(3600)),
          "How long requests in flight may go on after SIGTERM."),
      ]
    }
  }
}

extension Configuration.Limits {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "request_body", \.requestBody, .size(1 << 10...1 << 40),
          "A request body. A longer one is answered with 413."),
        make.value(
          "buffered_body", \.bufferedBody, .size(0...64 << 20),
          """
          How much of a request body is held, so that the request can be sent again with a new token; \
          never more than `request_body`. Longer bodies stream through.
          """
        ),
        make.value(
          "header_bytes", \.headerBytes, .size(1 << 10...1 << 20), "The head of a request or an answer."),
        make.value(
          "header_fields", \.headerFields, .number(10...10_000), "Fields of a head."),
        make.value(
          "connections", \.connections, .number(1...1_000_000),
          "Client connections. Further ones wait until one closes."),
        make.value(
          "connections_per_address", \.connectionsPerAddress, .number(1...1_000_000),
          """
          Client connections from one IPv4 address or IPv6 /64 network. Further ones are closed at once. Does \
          not apply to `trusted_proxies`, nor without `tls`, where whoever connects is a proxy in front.
          """
        ),
        make.value(
          "streams_per_user", \.streamsPerUser, .number(1...1_000_000),
          """
          Event streams that one user has open. Further requests that may open one are answered with 429.
          """
        ),
        make.value(
          "sign_ins_per_address", \.signInsPerAddress, .number(1...1_000_000),
          """
          How many sign-ins and consents may be begun or ended in a minute from one IPv4 address or IPv6 /64 \
          network, and in one session; further ones are answered with 429. A sign-in is counted twice: when it \
          begins and when the person comes back. The address behind `trusted_proxies` is the one that \
          `X-Forwarded-For` names.
          """
        ),
        make.value(
          "memory", \.memory, .size(1 << 20...1 << 40),
          """
          Request bodies and answers that wait in memory, of all connections together. Beyond it a request \
          with a body above 16 KiB is answered with 503, and an upstream is read only as fast as its client \
          takes the answer.
          """
        ),
        make.value(
          "upstream_connections", \.upstreamConnections, .number(1...100_000),
          "Connections to one upstream."),
        make.value(
          "upstream_waiting", \.upstreamWaiting, .number(0...1_000_000),
          "Requests that wait for a connection to one upstream. Further ones are answered with 503."),
        make.value(
          "inspected_body", \.inspectedBody, .size(0...16 << 20),
          """
          How much of an answer's body is held to look for a demand for consent. A longer one passes \
          through unseen.
          """
        ),
      ]
    }
  }
}
