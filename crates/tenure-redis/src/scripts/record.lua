-- What every script knows of a stored record: the fixed part of format 1, as docs/record-format.md
-- has it. This text stands before each of the other scripts. Positions count from 1, as Lua's do.
--
-- Every evaluation makes the functions anew and looks each global name up where it stands: so there are
-- few functions, and what is used often has a local name.

local HEADER_BYTES = 194
local VERSION, LEASE_END, SEEN_AT, ABSOLUTE_END = 19, 91, 99, 107

local call, sub, unpack = redis.call, string.sub, struct.unpack

-- The number at one position minus the one at the other, of unsigned 64-bit numbers. The sign is
-- always right, the value is exact up to 2^53. In two halves, since Lua's numbers are doubles; not
-- with `<` on the strings, since that follows the server's locale.
local function difference(a, a_at, b, b_at)
  local a_high, a_low = unpack('>I4I4', a, a_at)
  local b_high, b_low = unpack('>I4I4', b, b_at)
  return (a_high - b_high) * 4294967296 + (a_low - b_low)
end

local function is_record_of(head, id)
  if #head <= HEADER_BYTES then
    return false
  end
  local format, flags, head_id = unpack('>BBc16', head)
  return format == 1 and flags <= 1 and head_id == id
end

local function corrupt()
  return redis.error_reply('CORRUPT the stored value is not a record of this session')
end

-- What is stored: the fixed part and the byte behind it, which a record has at least. `nil` if the
-- key is absent. The positions are text, since Redis takes longer to print numbers than to read a key.
local key = KEYS[1]
local head = call('GETRANGE', key, '0', '194')
if head == '' and call('EXISTS', key) == 0 then
  head = nil
end

