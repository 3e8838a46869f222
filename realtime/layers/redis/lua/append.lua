-- Gives a publication the room's next offset, keeps it and broadcasts it, in one step.
-- KEYS: 1 the room's meta hash, 2 its stream, 3 its idempotency key
-- ARGV: 1 channel of the group, 2 epoch for a room that has none, 3 the message, 4 meta TTL,
--       5 how many to keep, 6 stream TTL, 7 idempotency TTL, 0 for none. TTLs in seconds.
if ARGV[7] ~= '0' then
  local first = redis.call('HMGET', KEYS[3], 'epoch', 'offset')
  if first[1] then
    return {first[1], tonumber(first[2])}
  end
end
if redis.call('HSETNX', KEYS[1], 'epoch', ARGV[2]) == 1 then
  -- Publications of an older epoch must not appear in this one.
  redis.call('DEL', KEYS[2])
end
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local offset = (tonumber(redis.call('HGET', KEYS[1], 'offset')) or 0) + 1
if ARGV[5] ~= '0' and ARGV[6] ~= '0' then
  -- Stored before the offset is: if Redis is out of memory, it fails here and no offset is lost.
  -- The second part of the id is the time in ms.
  local time = redis.call('TIME')
  local id = string.format('%.0f-%.0f', offset, time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[5], id, 'm', ARGV[3])
  redis.call('EXPIRE', KEYS[2], ARGV[6])
end
redis.call('HSET', KEYS[1], 'offset', string.format('%.0f', offset))
redis.call('EXPIRE', KEYS[1], ARGV[4])
if ARGV[7] ~= '0' then
  redis.call('HSET', KEYS[3], 'epoch', epoch, 'offset', string.format('%.0f', offset))
  redis.call('EXPIRE', KEYS[3], ARGV[7])
end
-- No msgpack value starts with 0xC1: it marks a message with a position in front.
redis.call('PUBLISH', ARGV[1], '\193' .. string.format('%.0f', offset) .. ':' .. epoch .. '\n' .. ARGV[3])
return {epoch, offset}
