-- Gives a publication the room's next offset and broadcasts it to the room's group, in one step.
-- KEYS: 1 the room's meta hash
-- ARGV: 1 epoch for a room that has none, 2 channel of the group, 3 the message, 4 meta TTL in seconds
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1])
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local offset = redis.call('HINCRBY', KEYS[1], 'offset', 1)
redis.call('EXPIRE', KEYS[1], ARGV[4])
-- 0xC1 starts no msgpack value: it marks a message whose position stands in front of it.
redis.call('PUBLISH', ARGV[2], '\193' .. offset .. ':' .. epoch .. '\n' .. ARGV[3])
return {epoch, offset}
