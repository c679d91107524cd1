/// Lets an object make its timers before it is complete itself. The object owns the timers, so it is there whenever
/// one of them fires.
final class LateReference<Target: AnyObject> {
  unowned var target: Target?
}
