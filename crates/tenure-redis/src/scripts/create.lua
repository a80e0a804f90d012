-- Writes a new session under an id at which nothing is stored.
--
-- KEYS[1]  the session
-- ARGV[1]  the record
-- ARGV[2]  time to live, milliseconds
--
-- Returns 1 if written (also when this very creation was made before), 0 if the id is taken.

local record, ttl = ARGV[1], ARGV[2]

if not head then
  call('SET', key, record, 'PX', ttl)
  -- A connection that tracks keys for a cache stops hearing of a key that it writes itself; reading
  -- the key begins the tracking again.
  call('EXISTS', key)
  return 1
end
if not is_record_of(head, sub(record, 3, 18)) then
  return corrupt()
end
-- Before the write, not after a failed one: a full store refuses even a `SET NX` that would change
-- nothing, and a repeated creation must not be told so.
return descends_from(head, record) and 1 or 0
