-- Returns the offset that a room had some time ago, by the clock of Redis: the one before the first
-- kept publication that is not older.
-- KEYS: 1 the room's stream
-- ARGV: 1 its newest offset, 2 the time in ms, 3 how many publications to go back at most
local AT_ONCE = 32
local time = redis.call('TIME')
local since = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[2])
local newest = tonumber(ARGV[1])
local offset, start = newest, '+'

while newest - offset < tonumber(ARGV[3]) do
  local found = redis.call('XREVRANGE', KEYS[1], start, '-', 'COUNT', AT_ONCE)
  for _, entry in ipairs(found) do
    local number, at = string.match(entry[1], '^(%d+)-(%d+)$')
    if tonumber(at) < since or newest - offset >= tonumber(ARGV[3]) then
      return offset
    end
    offset = math.min(offset, tonumber(number) - 1)
    start = '(' .. entry[1]
  end
  if #found < AT_ONCE then
    break
  end
end
return offset
