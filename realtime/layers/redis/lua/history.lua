-- Returns the position of a room and its kept publications. A room without an epoch gets one, so
-- that a client can recover from this position later.
-- KEYS: 1 the room's meta hash, 2 its stream
-- ARGV: 1 epoch for a room that has none, 2 meta TTL in seconds, 3 how many to read,
--       4 '+' for the oldest first, '-' for the newest first, 5 and 6 the range of stream ids
if redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1]) == 1 then
  redis.call('DEL', KEYS[2])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
local entries = {}
if ARGV[3] ~= '0' then
  local read = ARGV[4] == '+' and 'XRANGE' or 'XREVRANGE'
  for _, entry in ipairs(redis.call(read, KEYS[2], ARGV[5], ARGV[6], 'COUNT', ARGV[3])) do
    table.insert(entries, {entry[1], entry[2][2]})
  end
end
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'offset')
return {meta[1], tonumber(meta[2]) or 0, entries}
