-- Drops entries of logins that are no more. Reserved ones stay: their sessions may not be stored yet.
--
-- ARGV[2…] the logins
--
-- Returns 1.

remove(confirmed, ARGV, 2)
remove(condemned, ARGV, 2)
forget_if_blank()
return 1
