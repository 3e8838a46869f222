-- Records that rights have changed just now.
-- KEYS: the users and rooms that the rights belong to
-- ARGV: 1 TTL in seconds, 2 '1' for rights that are gone until the next change is recorded
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
for _, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[2] == '1' and 'gone' or now, 'EX', ARGV[1])
end
return 1
