-- What every script knows of a stored record: the fixed part of format 1, as docs/record-format.md
-- has it. This text stands before each of the other scripts. Positions count from 1, as Lua's do.

local HEADER_BYTES = 154

-- a - b of two unsigned 64-bit numbers. The sign is always right, the value is exact up to 2^53.
-- In two halves, since Lua's numbers are doubles; not with `<` on the strings, since that follows
-- the server's locale.
local function difference(a, b)
  local a_high, a_low = struct.unpack('>I4I4', a)
  local b_high, b_low = struct.unpack('>I4I4', b)
  return (a_high - b_high) * 4294967296 + (a_low - b_low)
end

-- The fixed part and the byte behind it, which a record has at least. Empty if the key is absent.
local function read_head(key)
  return redis.call('GETRANGE', key, 0, HEADER_BYTES)
end

local function is_absent(key, head)
  return head == '' and redis.call('EXISTS', key) == 0
end

local function is_record_of(head, id)
  if #head <= HEADER_BYTES or string.sub(head, 3, 18) ~= id then
    return false
  end
  local format, flags = string.byte(head, 1, 2)
  return format == 1 and flags <= 1
end

-- By the record's own times: the time to live of the key only collects garbage. A lease never ends
-- after the absolute limit, so its end alone decides.
local function is_live(head, now)
  return difference(string.sub(head, 91, 98), now) > 0
end

-- Whether the stored record is `record` or descends from it, as far as its eight tags reach. This
-- is how a creation or a commit that is sent a second time recognises itself.
local function descends_from(head, record)
  local behind = difference(string.sub(head, 19, 26), string.sub(record, 19, 26))
  if behind < 0 or behind > 7 then
    return false
  end
  local at = 27 + 8 * behind
  return string.sub(head, at, at + 7) == string.sub(record, 27, 34)
end

local function corrupt()
  return redis.error_reply('CORRUPT the stored value is not a record of this session')
end

