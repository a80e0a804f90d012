-- Appends an entry to the audit trail. As a script, so that it counts with the other writes: it is not sent
-- again when its reply was lost, since an entry that is there twice breaks its chain.
--
-- KEYS[1]  the stream
-- ARGV[1]  the entry, as JSON
-- ARGV[2]  about how many entries to keep
--
-- Returns 1.

redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'entry', ARGV[1])
return 1
