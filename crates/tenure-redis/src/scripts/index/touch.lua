-- Enters a login in use whose entry was lost.
--
-- ARGV[2]  the login
-- ARGV[3]  the epoch in its session's record
-- ARGV[4]  the session's absolute end
-- ARGV[5]  the principal's name
--
-- Returns 1 if it is known, 2 if it was entered, 3 if it has been ended.

local login, epoch = ARGV[2], ARGV[3]

if call('ZSCORE', confirmed, login) or call('ZSCORE', reserved, login) then
  return 1
end
if call('ZSCORE', condemned, login) then
  return 3
end
if tonumber(call('HGET', roll, 'e') or '0') > tonumber(epoch) then
  return 3
end
call('HSETNX', roll, 'n', ARGV[5])
if epoch ~= '0' then
  call('HSET', roll, 'e', epoch)
end
call('ZADD', confirmed, ARGV[4], login)
keep(tonumber(ARGV[4]))
return 2
