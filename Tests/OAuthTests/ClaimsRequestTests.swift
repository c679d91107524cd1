import JSON
import OAuth
import Testing

@Suite struct `The claims parameter` {
  @Test(arguments: [
    (
      #"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#, #"{"access_token":{"nbf":{"essential":true}}}"#,
      #"{"access_token":{"xms_cc":{"values":["cp1"]},"nbf":{"essential":true}}}"#
    ),
    (
      #"{"id_token":{"a":null},"x":1}"#, #"{"access_token":{},"x":{"y":2}}"#,
      #"{"id_token":{"a":null},"x":{"y":2},"access_token":{}}"#
    ),
    (#"{"a":{"b":{"c":1,"d":2}}}"#, #"{"a":{"b":{"d":3}}}"#, #"{"a":{"b":{"c":1,"d":3}}}"#),
    (#"{"a":1}"#, "not json", #"{"a":1}"#), (#"{"a":1}"#, "[1]", #"{"a":1}"#),
  ])
  func `merges claims at every depth`(base: String, demand: String, expected: String) throws {
    let object = try JSONValue.parse(base).object
    #expect(ClaimsRequest.merged(base: object, text: demand) == expected)
  }

  @Test func `passes claims on as they were sent when there is nothing to merge`() {
    let odd = #"{ "access_token" : {"polids":{"Values":["x"]}} }"#
    #expect(ClaimsRequest.merged(base: nil, text: odd) == odd)
    #expect(ClaimsRequest.merged(base: [:], text: odd) == odd)
    #expect(ClaimsRequest.merged(base: nil, text: nil) == nil)
    #expect(ClaimsRequest.merged(base: nil, text: "7") == nil)
    #expect(ClaimsRequest.merged(base: nil, text: #"{"a":"\#(String(repeating: "x", count: 9000))"}"#) == nil)
  }
}
