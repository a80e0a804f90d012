-- Removes a session if it is still theirs who want it removed.
--
-- KEYS[1]  the session
-- ARGV[1]  the position of the field by which that is told
-- ARGV[2]  what must stand there
--
-- Returns 1 if removed, 0 if nothing was stored, -1 if the session is somebody else's by now.

if not head then
  return 0
end
-- The field stands at this place in every format, so that a session can be ended although its record is
-- damaged or newer than this script. What is too short to be a record is nobody's.
local at, expected = tonumber(ARGV[1]), ARGV[2]
if #head > HEADER_BYTES and sub(head, at, at + #expected - 1) ~= expected then
  return -1
end
-- Not UNLINK: it frees memory on another thread, which pays only for values of many parts.
call('DEL', key)
return 1
