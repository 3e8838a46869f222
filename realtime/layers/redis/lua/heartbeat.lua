-- Marks a process as alive. Returns 1 if it was known, 0 if its data in Redis is lost; how many living
-- processes have another list of hosts; and the time in ms.
-- KEYS: 1 sorted set of processes by the time, in ms, until which they are alive
--       2 hash of processes: process -> its list of hosts
-- ARGV: 1 the process, 2 its TTL in ms, 0 when it ends, 3 its list of hosts
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for index, kind in ipairs({'zset', 'hash'}) do
  local found = redis.call('TYPE', KEYS[index]).ok
  if found ~= kind and found ~= 'none' then
    redis.call('DEL', KEYS[index])
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local known = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2] * 4)
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[2] * 4)
end
local others, hosts = 0, redis.call('HGETALL', KEYS[2])
for index = 1, #hosts, 2 do
  if not redis.call('ZSCORE', KEYS[1], hosts[index]) then
    redis.call('HDEL', KEYS[2], hosts[index])
  elseif hosts[index + 1] ~= ARGV[3] then
    others = others + 1
  end
end
return {known, others, now}
