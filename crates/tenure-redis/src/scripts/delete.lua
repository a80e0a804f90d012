-- Removes a session if its secret is still the expected one.
--
-- KEYS[1]  the session
-- ARGV[1]  what its secret must hash to, 32 bytes
--
-- Returns 1 if removed, 0 if nothing was stored, -1 if the session has another secret.

if not head then
  return 0
end
-- The hash stands at this place in every format, so that a session can be ended although its record is
-- damaged or newer than this script. What is too short to be a record is nobody's.
if #head > HEADER_BYTES and sub(head, SECRET, SECRET + 31) ~= ARGV[1] then
  return -1
end
-- Not UNLINK: it frees memory on another thread, which pays only for values of many parts.
call('DEL', key)
return 1
