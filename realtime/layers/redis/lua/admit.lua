-- Counts a connection of a user, unless the user has reached the limit.
-- KEYS: 1 hash of the user's connections: client -> process, 2 sorted set of processes by the time,
--       in ms, until which they are alive
-- ARGV: 1 client, 2 its process, 3 the limit, 0 for none, 4 TTL of a process in ms,
--       5 TTL of the hash in ms
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Data of another program would refuse all connections.
for index, kind in ipairs({'hash', 'zset'}) do
  local found = redis.call('TYPE', KEYS[index]).ok
  if found ~= kind and found ~= 'none' then
    redis.call('DEL', KEYS[index])
  end
end
-- The calling process is alive, even if Redis has just lost all data.
redis.call('ZADD', KEYS[2], 'GT', now + ARGV[4], ARGV[2])
if ARGV[3] ~= '0' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0
    and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
  -- Connections of a process that was killed don't count.
  local kept, count = redis.call('HGETALL', KEYS[1]), 0
  for index = 1, #kept, 2 do
    local alive_until = redis.call('ZSCORE', KEYS[2], kept[index + 1])
    if alive_until and tonumber(alive_until) > now then
      count = count + 1
    else
      redis.call('HDEL', KEYS[1], kept[index])
    end
  end
  if count >= tonumber(ARGV[3]) then
    return 0
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
