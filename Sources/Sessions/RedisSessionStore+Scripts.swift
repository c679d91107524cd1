internal import Redis

/// What has to happen in one step. `KEYS[1]` is a shard's base: everything that a script touches begins with it.
///
/// In a shard: `s:` a session's row, `l:` its lease, `n` and `c` the sessions by last use and by beginning, `a:` whom an old ticket stands
/// for, `a` those by their end, `b:` the old tickets that stand for a session.
enum RedisScripts {
  /// Removes a session from its shard; 1 when there was one.
  private static let drop = """
    local B=KEYS[1]
    local function drop(h)
      redis.call('ZREM',B..'n',h)
      redis.call('ZREM',B..'c',h)
      redis.call('DEL',B..'l:'..h)
      return redis.call('DEL',B..'s:'..h)
    end
    """

  /// Enters a session in its shard's indexes.
  private static let enter = """
    local function enter(h,seen,created,ttl)
      redis.call('ZADD',KEYS[1]..'n',seen,h)
      redis.call('ZADD',KEYS[1]..'c',created,h)
      redis.call('PEXPIRE',KEYS[1]..'n',ttl)
      redis.call('PEXPIRE',KEYS[1]..'c',ttl)
    end
    """

  /// hash, row, seen, created, ttl → 1, or the generation that is there.
  static let insert = RedisScript(
    enter + """

      local k=KEYS[1]..'s:'..ARGV[1]
      if redis.call('EXISTS',k)==1 then return redis.call('GETRANGE',k,1,8) end
      redis.call('SET',k,ARGV[2],'PX',ARGV[5])
      enter(ARGV[1],ARGV[3],ARGV[4],ARGV[5])
      return 1
      """)

  /// hash, generation, new generation, seen, sealed, fence or nothing, ttl, channel, notice → 1; 0: there is none, 2: a later lease, or the
  /// generation that is there.
  static let save = RedisScript(
    enter + """

      local k=KEYS[1]..'s:'..ARGV[1]
      local h=redis.call('GETRANGE',k,0,32)
      if #h<33 then return 0 end
      local fence=string.sub(h,26,33)
      if ARGV[6]~='' and ARGV[6]~=fence then return 2 end
      if string.sub(h,2,9)~=ARGV[2] then return string.sub(h,2,9) end
      local seen=math.max(struct.unpack('>i8',h,18),tonumber(ARGV[4]))
      redis.call('SET',k,string.sub(h,1,1)..ARGV[3]..string.sub(h,10,17)..struct.pack('>i8',seen)..fence..ARGV[5],'PX',ARGV[7])
      enter(ARGV[1],seen,struct.unpack('>i8',h,10),ARGV[7])
      redis.call('PUBLISH',ARGV[8],ARGV[9])
      return 1
      """)

  /// hash, head of what is sealed, sealed anew: only if nobody saved meanwhile.
  static let reseal = RedisScript(
    """
    local k=KEYS[1]..'s:'..ARGV[1]
    if redis.call('GETRANGE',k,33,32+#ARGV[2])~=ARGV[2] then return 0 end
    redis.call('SET',k,redis.call('GETRANGE',k,0,32)..ARGV[3],'KEEPTTL')
    return 1
    """)

  /// hash, channel, notice, whether to tell in any case → how many were removed.
  static let delete = RedisScript(
    drop + """

      local count=drop(ARGV[1])
      if count>0 or ARGV[4]~='' then redis.call('PUBLISH',ARGV[2],ARGV[3]) end
      return count
      """)

  /// old, channel, notice, and for an alias: the alias, its end, ttl → the tickets that stood for the old one.
  static let retire = RedisScript(
    drop + """

      drop(ARGV[1])
      local stood={}
      if ARGV[4] then
        stood=redis.call('ZREVRANGE',B..'b:'..ARGV[1],0,63)
        redis.call('SET',B..'a:'..ARGV[1],ARGV[4],'PX',ARGV[6])
        redis.call('ZADD',B..'a',ARGV[5],ARGV[1])
        redis.call('PEXPIRE',B..'a',ARGV[6])
      end
      redis.call('DEL',B..'b:'..ARGV[1])
      redis.call('PUBLISH',ARGV[2],ARGV[3])
      return stood
      """)

  /// ticket, alias, new alias: only if it is still the same.
  static let repoint = RedisScript(
    """
    local k=KEYS[1]..'a:'..ARGV[1]
    if redis.call('GET',k)~=ARGV[2] then return 0 end
    redis.call('SET',k,ARGV[3],'KEEPTTL')
    return 1
    """)

  /// new, ttl, pairs of an end and a ticket: notes which tickets stand for the new session.
  static let adopt = RedisScript(
    """
    local k=KEYS[1]..'b:'..ARGV[1]
    for i=3,#ARGV,2 do redis.call('ZADD',k,ARGV[i],ARGV[i+1]) end
    redis.call('PEXPIRE',k,ARGV[2])
    return 1
    """)

  /// Pairs of a hash and a time.
  static let touch = RedisScript(
    """
    for i=1,#ARGV,2 do
      local k=KEYS[1]..'s:'..ARGV[i]
      local s=redis.call('GETRANGE',k,17,24)
      local t=tonumber(ARGV[i+1])
      if #s==8 and struct.unpack('>i8',s)<t then
        redis.call('SETRANGE',k,17,struct.pack('>i8',t))
        redis.call('ZADD',KEYS[1]..'n',ARGV[i+1],ARGV[i])
      end
    end
    return 1
    """)

  /// created before, seen before, now, latest believable time, most of each → 1 when there may be more.
  static let sweep = RedisScript(
    drop + """

      local more=0
      local function each(index,low,high,act)
        local found=redis.call('ZRANGEBYSCORE',B..index,low,high,'LIMIT',0,ARGV[5])
        for _,h in ipairs(found) do act(h) end
        if #found==tonumber(ARGV[5]) then more=1 end
      end
      each('n','-inf',ARGV[2],drop)
      each('c','-inf',ARGV[1],drop)
      local now=tonumber(ARGV[3])
      local function take_back(h)
        local k=B..'s:'..h
        local times=redis.call('GETRANGE',k,9,24)
        if #times<16 then return drop(h) end
        local created=math.min(struct.unpack('>i8',times),now)
        local seen=math.min(struct.unpack('>i8',times,9),now)
        redis.call('SETRANGE',k,9,struct.pack('>i8',created)..struct.pack('>i8',seen))
        redis.call('ZADD',B..'c',created,h)
        redis.call('ZADD',B..'n',seen,h)
      end
      each('n','('..ARGV[4],'+inf',take_back)
      each('c','('..ARGV[4],'+inf',take_back)
      each('a','-inf',ARGV[3],function(t)
        redis.call('DEL',B..'a:'..t)
        redis.call('ZREM',B..'a',t)
      end)
      return more
      """)

  /// most → how many were removed, and how many were looked at.
  static let clear = RedisScript(
    drop + """

      local count=0
      local found=redis.call('ZRANGE',B..'n',0,ARGV[1]-1)
      for _,h in ipairs(found) do count=count+drop(h) end
      local aliases=redis.call('ZRANGE',B..'a',0,ARGV[1]-1)
      for _,t in ipairs(aliases) do redis.call('DEL',B..'a:'..t) redis.call('ZREM',B..'a',t) end
      return {count,math.max(#found,#aliases)}
      """)

  /// highest beginning, hash to go on behind or nothing, most → hash, beginning and row of each; the latest beginning first, so that one
  /// that is taken back while somebody reads is met again rather than missed.
  static let page = RedisScript(
    drop + """

      local function before(x,y)
        for i=1,32 do
          local p,q=string.byte(x,i),string.byte(y,i)
          if p~=q then return p<q end
        end
        return false
      end
      local out,offset,most={},0,tonumber(ARGV[3])
      while #out<3*most do
        local got=redis.call('ZREVRANGEBYSCORE',B..'c',ARGV[1],'-inf','WITHSCORES','LIMIT',offset,most)
        if #got==0 then break end
        offset=offset+#got/2
        for i=1,#got,2 do
          if #out<3*most and (ARGV[2]=='' or got[i+1]~=ARGV[1] or before(got[i],ARGV[2])) then
            local row=redis.call('GET',B..'s:'..got[i])
            if row then
              table.insert(out,got[i]) table.insert(out,got[i+1]) table.insert(out,row)
            else
              offset=offset-1
              drop(got[i])
            end
          end
        end
      end
      return out
      """)
}

/// Leases. The time is the server's own unless it is given: processes whose clocks differ agree.
enum RedisLeaseScripts {
  private static let time = """
    local B=KEYS[1]
    local now=tonumber(ARGV[1])
    if not now then
      local t=redis.call('TIME')
      now=t[1]*1000+math.floor(t[2]/1000)
    end
    local longest=tonumber(ARGV[2])
    local key=B..'l:'..ARGV[3]
    local lease=redis.call('GET',key)
    local left=0
    if lease then
      left=struct.unpack('>i8',lease)-now
      if left>longest then left=0 end
    end
    """

  /// now or nothing, longest, hash, holder, duration → the fence; 0: no session; what is left of another's in a list.
  static let acquire = RedisScript(
    time + """

      local k=B..'s:'..ARGV[3]
      local fence=redis.call('GETRANGE',k,25,32)
      if #fence<8 then return 0 end
      if left>0 and string.sub(lease,17)~=ARGV[4] then return {left} end
      fence=struct.pack('>I8',struct.unpack('>I8',fence)+1)
      redis.call('SETRANGE',k,25,fence)
      redis.call('SET',key,struct.pack('>i8',now+ARGV[5])..fence..ARGV[4],'PX',2*longest)
      return fence
      """)

  /// now or nothing, longest, hash, holder, fence, duration → whether it lasts on.
  static let renew = RedisScript(
    time + """

      if left<=0 or string.sub(lease,9)~=ARGV[5]..ARGV[4] then return 0 end
      redis.call('SET',key,struct.pack('>i8',now+ARGV[6])..string.sub(lease,9),'PX',2*longest)
      return 1
      """)

  /// now or nothing, longest, hash, holder, fence, channel, notice.
  static let release = RedisScript(
    time + """

      if not lease or string.sub(lease,9)~=ARGV[5]..ARGV[4] then return 0 end
      redis.call('DEL',key)
      redis.call('PUBLISH',ARGV[6],ARGV[7])
      return 1
      """)
}
