-- Enters a login whose session is stored.
--
-- ARGV[2]  the login
-- ARGV[3]  that which it replaces, or empty
-- ARGV[4]  the epoch in which it was reserved
-- ARGV[5]  the session's absolute end
--
-- Returns 1 if it is entered, 2 if the principal's logins were ended since, 3 if it has no place.

local login, replaced = ARGV[2], ARGV[3]

if call('ZSCORE', confirmed, login) then
  return 1
end
if (call('HGET', roll, 'e') or '0') ~= ARGV[4] then
  call('ZREM', reserved, login)
  forget_if_blank()
  return 2
end
if call('ZREM', reserved, login) == 0 then
  return 3
end
call('ZADD', confirmed, ARGV[5], login)
if replaced ~= '' and replaced ~= login then
  call('ZREM', confirmed, replaced)
  -- A place that the same login has given up for this one.
  call('ZREM', reserved, replaced)
end
keep(tonumber(ARGV[5]))
return 1
