-- What every script knows of a principal's logins. This text stands before each of the other scripts, which
-- decide as `LoginRoll` in tenure-core does.
--
-- KEYS[1]  a hash: `e` the epoch, `t` the tags of the last endings, 8 bytes each, `n` the principal's name, `b` the
--          epoch of the block if there is one, and with it `k`, until when the rest is kept
-- KEYS[2]  the confirmed logins, by their sessions' absolute ends
-- KEYS[3]  the reserved logins, by the time of their reservation
-- KEYS[4]  the condemned logins, by the time since when they are
-- ARGV[1]  the present
--
-- A login is 24 bytes: the session's id and the stamp. Times are milliseconds since the Unix epoch, below 2^53;
-- they and epochs are decimal digits. What is optional is empty if it is not given.

local TOLD, RESERVED_FOR, TAGS_BYTES, SLACK = 100, 10000, 64, 60000

local call, sub = redis.call, string.sub
local roll, confirmed, reserved, condemned = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = tonumber(ARGV[1])

-- Lua by itself would write large numbers with an exponent.
local function digits(number)
  return string.format('%.0f', number)
end

-- In parts, since Lua cannot hand over more than some 8,000 values at once.
local function remove(key, members, first)
  for at = first or 1, #members, 1000 do
    call('ZREM', key, unpack(members, at, math.min(at + 999, #members)))
  end
end

local function condemn(members)
  for first = 1, #members, 1000 do
    local entries = {}
    for at = first, math.min(first + 999, #members) do
      table.insert(entries, ARGV[1])
      table.insert(entries, members[at])
    end
    call('ZADD', condemned, unpack(entries))
  end
end

-- Those that have been condemned for the longest time, in one string.
local function told()
  return table.concat(call('ZRANGE', condemned, '0', TOLD - 1))
end

-- Keeps all keys until that time, and each as long as any of them is kept. With a minute to spare, of which
-- half may be missing: so a key need not be written again for every few milliseconds.
local function keep(till)
  local block = call('HGET', roll, 'b')
  local kept = block and call('HGET', roll, 'k') or '0'
  local left = math.max(till, tonumber(kept)) + SLACK - now
  local lefts = {}
  for at, key in ipairs(KEYS) do
    lefts[at] = call('PTTL', key)
    left = math.max(left, lefts[at])
  end
  -- The bounds are those of `ttl_millis` in store.rs.
  left = math.max(5000, math.min(left, 4503599627370496))
  for at, key in ipairs(KEYS) do
    -- -2 is a key that is not there, -1 one that has no limit yet.
    if lefts[at] ~= -2 and lefts[at] < left - SLACK / 2 and not (block and key == roll) then
      call('PEXPIRE', key, digits(left))
    end
  end
  if block then
    call('HSET', roll, 'k', digits(now + left - SLACK))
    call('PERSIST', roll)
  end
end

-- A hash that says nothing but the name is not kept.
local function forget_if_blank()
  if call('EXISTS', confirmed, reserved, condemned) == 0 and not call('HGET', roll, 'e') then
    call('DEL', roll)
  end
end

-- Lets the writes that follow through on a server that is full: it refuses commands that need room, but
-- only as the first write of a script. Logins must not live on because the store is full.
local function write_although_full()
  call('ZREM', reserved, '')
end

