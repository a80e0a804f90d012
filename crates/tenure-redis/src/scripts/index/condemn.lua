-- Condemns one login, if it is entered or reserved.
--
-- ARGV[2]  the login
--
-- Returns 1 if it is condemned now, 0 if not.

local login = ARGV[2]

if call('ZREM', confirmed, login) + call('ZREM', reserved, login) == 0 then
  return call('ZSCORE', condemned, login) and 1 or 0
end
condemn({ login })
keep(0)
return 1
