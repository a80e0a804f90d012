-- Begins a new epoch and condemns all logins but one, unless this very ending was made before.
--
-- ARGV[2]  the ending's tag, 8 bytes
-- ARGV[3]  the login that lives on, or empty
-- ARGV[4]  1 if the principal may not log in again, otherwise 0
-- ARGV[5]  until when to keep all of it
-- ARGV[6]  the principal's name
--
-- Returns a list: the epoch, and condemned logins in one string.

local tag, spared = ARGV[2], ARGV[3]

local epoch = call('HGET', roll, 'e') or '0'
local tags = call('HGET', roll, 't') or ''
local is_known = false
for at = 1, #tags, 8 do
  is_known = is_known or sub(tags, at, at + 7) == tag
end

write_although_full()
if not is_known then
  epoch = digits(math.max(tonumber(epoch) + 1, now))
  tags = sub(tag .. tags, 1, TAGS_BYTES)
  for _, key in ipairs({ confirmed, reserved }) do
    local gone = {}
    for _, member in ipairs(call('ZRANGE', key, '0', '-1')) do
      if member ~= spared then
        table.insert(gone, member)
      end
    end
    remove(key, gone)
    condemn(gone)
  end
  if ARGV[4] == '1' then
    call('HSET', roll, 'b', epoch)
  end
end
-- Also if nothing has changed: whoever waits for replicas needs a write to wait for.
call('HSET', roll, 'e', epoch, 't', tags, 'n', ARGV[6])
keep(tonumber(ARGV[5]))
return { epoch, told() }
