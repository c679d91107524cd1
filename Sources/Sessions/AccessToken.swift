public import Basics

/// Names what an access token is for: one route's credential. The refresher knows which scopes and which
/// `resource` parameter belong to it.
public struct ResourceKey: Sendable, Hashable, CustomStringConvertible {
  /// A stable name, the same after a restart: for instance the resource indicator, or the scopes sorted and
  /// joined.
  public let name: String

  /// A key of this name.
  public init(_ name: String) { self.name = name }

  /// The name.
  public var description: String { name }
}

/// An access token with its times. The token is opaque here: its life comes from the token response, never
/// from within.
public struct AccessToken: Sendable, Hashable {
  /// The token.
  public let secret: Secret
  /// The granted scopes; nil when the response named none, which means those that were asked for (RFC 6749
  /// §5.1).
  public let scopes: [String]?
  /// When the response arrived.
  public let issuedAt: Timestamp
  /// From here on a refresh is started in the background while this token is still used.
  public let softExpiry: Timestamp
  /// From here on a request waits for a refresh. Lies before ``expiresAt``, so that a token does not expire
  /// on its way.
  public let hardExpiry: Timestamp
  /// The provider's own expiry. Between ``hardExpiry`` and this the token is used only if the refresh failed.
  public let expiresAt: Timestamp

  /// A token with times that were worked out before; use ``TokenSchedule`` for a token from a response.
  public init(
    secret: Secret, scopes: [String]?, issuedAt: Timestamp, softExpiry: Timestamp, hardExpiry: Timestamp,
    expiresAt: Timestamp
  ) {
    self.secret = secret
    self.scopes = scopes
    self.issuedAt = issuedAt
    self.softExpiry = softExpiry
    self.hardExpiry = hardExpiry
    self.expiresAt = expiresAt
  }

  /// How far a token's life is used up.
  public enum Phase: Sendable, Hashable {
    /// Use it.
    case fresh
    /// Use it, and fetch the next one in the background.
    case refreshSoon
    /// Wait for the next one; if that cannot be had for now, this one still works.
    case overdue
    /// Not usable any more.
    case expired
  }

  /// The phase at `now`.
  public func phase(at now: Timestamp) -> Phase {
    if now < softExpiry { return .fresh }
    if now < hardExpiry { return .refreshSoon }
    return now < expiresAt ? .overdue : .expired
  }
}

/// What a token response gave, before its times are worked out.
public struct TokenGrant: Sendable {
  /// `access_token`.
  public var accessToken: Secret
  /// `expires_in`; nil when the response had none.
  public var expiresIn: Duration?
  /// `refresh_in`: the provider's wish when to refresh.
  public var refreshIn: Duration?
  /// `scope`; nil when the response had none.
  public var scopes: [String]?

  /// A grant.
  public init(accessToken: Secret, expiresIn: Duration?, refreshIn: Duration? = nil, scopes: [String]? = nil)
  {
    self.accessToken = accessToken
    self.expiresIn = expiresIn
    self.refreshIn = refreshIn
    self.scopes = scopes
  }
}

/// Works out the times of a token from its response. Pure; the jitter is handed in.
public struct TokenSchedule: Sendable {
  /// How long before the expiry a background refresh starts; never earlier than half of the token's life.
  public var refreshBefore: Duration
  /// How long before the expiry a token stops being sent; never more than a tenth of its life.
  public var safetyMargin: Duration
  /// The life of a token whose response names none. Short, because a refresh too many costs less than a
  /// rejected call.
  public var assumedLife: Duration

  /// Five minutes ahead, as the Microsoft libraries do; one minute of clock difference; five minutes for the
  /// unknown.
  public init(
    refreshBefore: Duration = .seconds(300), safetyMargin: Duration = .seconds(60),
    assumedLife: Duration = .seconds(300)
  ) {
    self.refreshBefore = refreshBefore
    self.safetyMargin = safetyMargin
    self.assumedLife = assumedLife
  }

  /// The token of a response that arrived at `now`.
  /// - Parameter jitter: −1 … 1. Moves the soft expiry by up to a tenth of the time until it, so that
  ///   sessions that began together do not refresh together.
  public func token(_ grant: TokenGrant, at now: Timestamp, jitter: Double) -> AccessToken {
    // A year bounds the arithmetic: nobody issues longer tokens, and a response may carry any number.
    let life = min(max((grant.expiresIn ?? assumedLife).milliseconds, 0), 365 * 86_400_000)
    let hard = life - min(max(safetyMargin.milliseconds, 0), life / 10)
    var soft = life - min(max(refreshBefore.milliseconds, 0), life / 2)
    if let wish = grant.refreshIn?.milliseconds, wish > 0 { soft = min(soft, wish) }
    let shift = Double(soft) * 0.1 * min(max(jitter.isNaN ? 0 : jitter, -1), 1)
    soft = min(max(soft + Int64(shift), 0), hard)
    return AccessToken(
      secret: grant.accessToken, scopes: grant.scopes, issuedAt: now, softExpiry: now + .milliseconds(soft),
      hardExpiry: now + .milliseconds(hard), expiresAt: now + .milliseconds(life))
  }
}
