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

-- Odd stamps are those of operators who act in the principal's name: no limit counts them.
local function is_acting(member)
  return string.byte(member, -1) % 2 == 1
end

-- The logins that a limit counts, the oldest first: this one and what it replaces count as one.
local function counted(key)
  local members = {}
  for _, member in ipairs(call('ZRANGE', key, '0', '-1')) do
    if member ~= login and member ~= replaced and not is_acting(member) then
      table.insert(members, member)
    end
  end
  return members
end

local is_known = call('ZSCORE', confirmed, login) or call('ZSCORE', reserved, login)
local victims = {}
-- One that has its place already may come late, when others have come since. Mostly there is room, and no need to
-- look at each.
local takes_a_place = limit and not is_known and not is_acting(login)
if takes_a_place and call('ZCARD', confirmed) + call('ZCARD', reserved) >= limit then
  local in_use, on_their_way = counted(confirmed), counted(reserved)
  local many = #in_use + #on_their_way + 1 - limit
  if many > 0 and ARGV[5] == '0' then
    return { 2, table.concat(call('ZRANGE', confirmed, '0', digits(limit + TOLD - 1))) }
  end
  local ended, displaced = {}, {}
  for place = 1, many do
    if in_use[place] then
      table.insert(ended, in_use[place])
    else
      table.insert(displaced, on_their_way[place - #in_use])
    end
    table.insert(victims, in_use[place] or on_their_way[place - #in_use])
  end
  remove(confirmed, ended)
  remove(reserved, displaced)
end

local left_by_others = told()
condemn(victims)
if not call('ZSCORE', confirmed, login) and not call('ZSCORE', reserved, login) then
  call('ZADD', reserved, ARGV[1], login)
end
keep(tonumber(ARGV[7]))
return { 1, epoch, table.concat(victims) .. left_by_others }
