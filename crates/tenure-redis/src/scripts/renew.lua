-- Moves the end of a session's lease to a later time, within its absolute limit.
--
-- KEYS[1]  the session
-- ARGV[1]  its id, 16 bytes
-- ARGV[2]  the new end, 8 bytes: milliseconds since the Unix epoch
-- ARGV[3]  the present, in the same form
--
-- Returns the stored version, 16 bytes, or nil if the session is gone.

local key, id, lease_end, now = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local head = read_head(key)

if is_absent(key, head) then
  return false
end
if not is_record_of(head, id) then
  return corrupt()
end
if not is_live(head, now) then
  return false
end

local absolute_end = string.sub(head, 99, 106)
if difference(lease_end, absolute_end) > 0 then
  lease_end = absolute_end
end
if difference(lease_end, string.sub(head, 91, 98)) > 0 then
  -- The bounds are those of `ttl_millis` in store.rs.
  local ttl = math.max(5000, math.min(difference(lease_end, now), 4503599627370496))
  -- In this order: a store at its memory limit refuses SETRANGE as the first write of a script, but
  -- neither PEXPIRE nor what follows it. Sessions must not end because the store is full.
  redis.call('PEXPIRE', key, string.format('%.0f', ttl))
  redis.call('SETRANGE', key, 90, lease_end)
  -- See create.lua: keeps a tracking connection informed of this key.
  redis.call('EXISTS', key)
end
return string.sub(head, 19, 34)
