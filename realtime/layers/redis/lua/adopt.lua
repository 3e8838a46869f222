-- Runs before Redis is told any other script of the site, so that none works with the rooms of an
-- earlier run before it is known whether they may have stepped back.
-- KEYS: 1 what is noted of the runs
-- Returns 1, or 0 if Redis does not tell which run it is.
local _, is_known = adopt(KEYS[1])
return is_known and 1 or 0
