-- Writes a new session under an id at which nothing is stored.
--
-- KEYS[1]  the session
-- ARGV[1]  the record
-- ARGV[2]  time to live, milliseconds
--
-- Returns 1 if written, 0 if the id is taken.

if head then
  return 0
end
call('SET', key, ARGV[1], 'PX', ARGV[2])
-- A connection that tracks keys for a cache stops hearing of a key that it writes itself; reading the key
-- begins the tracking again.
call('EXISTS', key)
return 1
