-- Replaces a session if its version is still the expected one.
--
-- KEYS[1]  the session
-- ARGV[1]  expected version, 16 bytes: counter, tag
-- ARGV[2]  the new record
-- ARGV[3]  the present, 8 bytes: milliseconds since the Unix epoch
-- ARGV[4]  time to live, milliseconds
--
-- Returns 1 if the new record was written, 2 if it is stored by an earlier attempt of this same commit; nil if
-- the session is gone; otherwise the record that is stored instead. Its lineage tells whether that one
-- descends from this commit.

local expected, record, now, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if not head then
  return false
end
if not is_record_of(head, sub(record, 3, 18)) then
  return corrupt()
end
-- By the record's own times: the time to live of the key only collects garbage. A lease never ends
-- after the absolute limit, so its end alone decides.
if difference(head, LEASE_END, now, 1) <= 0 then
  return false
end
local version = sub(head, VERSION, VERSION + 15)
-- The counter and the newest tag lie side by side. Both count: after a failover, two histories can
-- have reached the same counter.
if version ~= expected then
  return version == sub(record, VERSION, VERSION + 15) and 2 or call('GETRANGE', key, '0', '-1')
end

call('SET', key, record, 'PX', ttl)
-- See create.lua: keeps a tracking connection informed of this key.
call('EXISTS', key)
return 1
