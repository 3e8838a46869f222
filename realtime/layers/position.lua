-- Where a room stands. A room without an epoch gets one, so that a client can hold us to it later.
-- KEYS: 1 the room's meta hash;  ARGV: 1 epoch for a room that has none, 2 meta TTL in seconds
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {redis.call('HGET', KEYS[1], 'epoch'), tonumber(redis.call('HGET', KEYS[1], 'offset') or 0)}
