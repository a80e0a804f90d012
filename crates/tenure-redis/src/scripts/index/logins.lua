-- Lists confirmed logins by their sessions' ends, and those that are condemned.
--
-- ARGV[2]  the end of the last one that was listed, or empty
-- ARGV[3]  that login
-- ARGV[4]  how many to list
--
-- Returns a list: a list of logins, each with its end behind it, and condemned logins in one string.

local last_end, last, most = ARGV[2], ARGV[3], tonumber(ARGV[4])

-- Not with `>` on the strings, since that follows the server's locale; Redis orders by bytes.
local function is_behind(member)
  for at = 1, #member, 4 do
    local ours, theirs = struct.unpack('>I4', member, at), struct.unpack('>I4', last, at)
    if ours ~= theirs then
      return ours > theirs
    end
  end
  return false
end

local first = 0
if last_end ~= '' then
  first = call('ZCOUNT', confirmed, '-inf', '(' .. last_end)
  local beyond = first + call('ZCOUNT', confirmed, last_end, last_end)
  -- Among those that end together, whose number nothing bounds, and of which the last may have gone.
  while first < beyond do
    local middle = math.floor((first + beyond) / 2)
    if is_behind(call('ZRANGE', confirmed, middle, middle)[1]) then
      beyond = middle
    else
      first = middle + 1
    end
  end
end

local listed = {}
if most > 0 then
  listed = call('ZRANGE', confirmed, digits(first), digits(first + most - 1), 'WITHSCORES')
end
return { listed, told() }
