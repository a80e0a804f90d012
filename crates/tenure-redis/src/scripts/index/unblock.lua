-- Lifts a block, if it is the one that began in that epoch.
--
-- ARGV[2]  the epoch
--
-- Returns 1 if it was lifted, 0 if not.

if call('HGET', roll, 'b') ~= ARGV[2] then
  return 0
end
local kept = call('HGET', roll, 'k') or '0'
call('HDEL', roll, 'b', 'k')
keep(tonumber(kept))
return 1
