-- Moves the end of a session's lease to a later time, within its absolute limit, and notes that the session was
-- seen.
--
-- KEYS[1]  the session
-- ARGV[1]  its id, 16 bytes
-- ARGV[2]  the new end, 8 bytes: milliseconds since the Unix epoch
-- ARGV[3]  the present, in the same form
-- ARGV[4]  the position of the field by which it is told whose the session is
-- ARGV[5]  what must stand there
--
-- Returns the stored version and a byte that is 1 if the end was moved and 0 if it was as late before; nil if
-- the session is gone; -1 if it is somebody else's by now.

local id, lease_end, now = ARGV[1], ARGV[2], ARGV[3]

if not head then
  return false
end
if not is_record_of(head, id) then
  return corrupt()
end
-- See commit.lua.
if difference(head, LEASE_END, now, 1) <= 0 then
  return false
end
local at, expected = tonumber(ARGV[4]), ARGV[5]
if sub(head, at, at + #expected - 1) ~= expected then
  return -1
end

if difference(lease_end, 1, head, ABSOLUTE_END) > 0 then
  lease_end = sub(head, ABSOLUTE_END, ABSOLUTE_END + 7)
end
local moved = '\0'
if difference(lease_end, 1, head, LEASE_END) > 0 then
  -- The bounds are those of `ttl_millis` in store.rs.
  local ttl = math.max(5000, math.min(difference(lease_end, 1, now, 1), 4503599627370496))
  -- In this order: a store at its memory limit refuses SETRANGE as the first write of a script, but
  -- neither PEXPIRE nor what follows it. Sessions must not end because the store is full.
  call('PEXPIRE', key, string.format('%.0f', ttl))
  -- The time at which the session was seen lies behind the end of its lease, and never goes back.
  local seen_at = now
  if difference(head, SEEN_AT, now, 1) > 0 then
    seen_at = sub(head, SEEN_AT, SEEN_AT + 7)
  end
  call('SETRANGE', key, LEASE_END - 1, lease_end .. seen_at)
  -- See create.lua: keeps a tracking connection informed of this key.
  call('EXISTS', key)
  moved = '\1'
end
return sub(head, VERSION, VERSION + 15) .. moved
