-- Starts a room again, unless it has done so already: a new epoch, without publications.
-- KEYS: 1 the room's meta hash, 2 its stream, 3 what is noted of the runs
-- ARGV: 1 the epoch that ends, 2 the new one, 3 meta TTL in seconds
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'lineage', lineage_in(KEYS[3]))
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
