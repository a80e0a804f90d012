-- Moves the epoch of all sessions on, if it is not there yet.
--
-- KEYS[1]  the gate
-- ARGV[1]  the epoch, in decimal digits
--
-- Returns what it is.

local gate = redis.call('GETRANGE', KEYS[1], '0', '-1')
if gate ~= '' and tonumber(gate) >= tonumber(ARGV[1]) then
  return gate
end
-- As the first write of a script, a full server would refuse the second one.
redis.call('PERSIST', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
