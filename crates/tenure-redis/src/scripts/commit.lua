-- Replaces a session if its version is still the expected one.
--
-- KEYS[1]  the session
-- ARGV[1]  expected version, 16 bytes: counter, tag
-- ARGV[2]  the new record
-- ARGV[3]  the present, 8 bytes: milliseconds since the Unix epoch
-- ARGV[4]  time to live, milliseconds
--
-- Returns the stored version, 16 bytes, if written (also when this very commit was written before and
-- others have committed since), nil if the session is gone, or the stored record on a conflict.

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
if descends_from(head, record) then
  return version
end
-- The counter and the newest tag lie side by side. Both count: after a failover, two histories can
-- have reached the same counter.
if version ~= expected then
  return call('GETRANGE', key, '0', '-1')
end

call('SET', key, record, 'PX', ttl)
-- See create.lua: keeps a tracking connection informed of this key.
call('EXISTS', key)
return sub(record, VERSION, VERSION + 15)
