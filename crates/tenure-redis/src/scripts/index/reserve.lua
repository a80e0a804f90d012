-- Takes a place for a login that is about to be made.
--
-- ARGV[2]  the login
-- ARGV[3]  that which it replaces, or empty
-- ARGV[4]  how many logins the principal may have, or empty
-- ARGV[5]  1 if the oldest make room, 0 if it is full then
-- ARGV[6]  the epoch in which the application's checks began, or empty
-- ARGV[7]  until when to keep all of it
-- ARGV[8]  the principal's name
-- ARGV[9…] logins that are dead
--
-- Returns a list: 1, the epoch, and the logins to be ended in one string, those first that have made room; 2
-- and the confirmed logins if it is full; 3 if the fence is past; 4 if this login was condemned; 5 if the
-- principal is blocked.

local login, replaced, limit, fence = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[6]
if replaced == login then
  replaced = ''
end

if call('HGET', roll, 'b') then
  return { 5 }
end
local epoch = call('HGET', roll, 'e') or '0'
if fence ~= '' and fence ~= epoch then
  return { 3 }
end
if call('ZSCORE', condemned, login) then
  return { 4 }
end

-- The first write, which a full server refuses, and with it the login.
call('HSETNX', roll, 'n', ARGV[8])
call('ZREMRANGEBYSCORE', confirmed, '-inf', ARGV[1])
call('ZREMRANGEBYSCORE', reserved, '-inf', digits(now - RESERVED_FOR))
remove(confirmed, ARGV, 9)

local function is_entered(member)
  return call('ZSCORE', confirmed, member) or call('ZSCORE', reserved, member)
end

local is_known = is_entered(login)
local victims = {}
if limit then
  local taken = call('ZCARD', confirmed) + call('ZCARD', reserved)
  if is_known then
    taken = taken - 1
  end
  if replaced ~= '' and is_entered(replaced) then
    taken = taken - 1
  end
  local many = taken + 1 - limit
  if many > 0 and ARGV[5] == '0' then
    return { 2, table.concat(call('ZRANGE', confirmed, '0', digits(limit + TOLD - 1))) }
  end
  if many > 0 then
    for _, key in ipairs({ confirmed, reserved }) do
      local oldest = {}
      -- Two more than are needed, since this login and what it replaces may be among them.
      for _, member in ipairs(call('ZRANGE', key, '0', digits(many - #victims + 1))) do
        if #victims < many and member ~= login and member ~= replaced then
          table.insert(victims, member)
          table.insert(oldest, member)
        end
      end
      remove(key, oldest)
    end
  end
end

local left_by_others = told()
condemn(victims)
if not is_known then
  call('ZADD', reserved, ARGV[1], login)
end
keep(tonumber(ARGV[7]))
return { 1, epoch, table.concat(victims) .. left_by_others }
