-- Gives a publication the room's next offset, keeps it and broadcasts it, in one step.
-- KEYS: 1 the room's meta hash, 2 its stream, 3 its idempotency key, 4 what is noted of the runs
-- ARGV: 1 channel of the group, 2 epoch for a room that has none, 3 the message, 4 meta TTL,
--       5 how many to keep, 6 stream TTL, 7 idempotency TTL, 0 for none. TTLs in seconds.
if ARGV[7] ~= '0' then
  local first = redis.pcall('HMGET', KEYS[3], 'epoch', 'offset')
  if first.err then
    redis.call('DEL', KEYS[3])
  elseif first[1] and tonumber(first[2]) then
    return {first[1], tonumber(first[2])}
  end
end

local is_new = redis.pcall('HSETNX', KEYS[1], 'epoch', ARGV[2])
if is_new == 1 then
  -- Publications of an older epoch must not appear in this one.
  redis.call('DEL', KEYS[2])
elseif is_new ~= 0 and not string.find(is_new.err, 'WRONGTYPE', 1, true) then
  return is_new
end
local lineage = lineage_in(KEYS[4])
local kept = is_new == 0 and redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'lineage')
    or {ARGV[2], false, lineage}
local epoch, offset = kept[1], tonumber(kept[2] or 0)
if is_new == 1 then
  offset = tonumber(redis.call('HGET', KEYS[1], 'offset') or 0)
  redis.call('HSET', KEYS[1], 'lineage', lineage)
elseif kept[3] ~= lineage and type(is_new) == 'number' then
  -- Offsets that were given already could be given again: not in the same epoch.
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'lineage', lineage)
  epoch, offset = ARGV[2], 0
end

-- Each step up to the first that fails; with foreign data in the keys, the room starts again.
local is_ours = type(is_new) == 'number' and offset and offset >= 0 and offset <= 2^53
    and offset % 1 == 0 and epoch ~= '' and not string.find(epoch, '%W')
for attempt = 1, 2 do
  if not is_ours then
    -- history.lua reports it, and members see the new epoch.
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'lineage', lineage, 'repaired', '1')
    epoch, offset = ARGV[2], 0
  end
  offset = offset + 1
  local text = string.format('%.0f', offset)
  -- Broadcast before it is kept: if the channel is not allowed, nothing is kept. A Redis that takes
  -- no writes (out of memory, a replica) has refused HSETNX above, before anything was sent.
  -- No msgpack value starts with 0xC1: it marks a message with a position in front.
  redis.call('PUBLISH', ARGV[1], '\193' .. text .. ':' .. epoch .. '\n' .. ARGV[3])
  if ARGV[5] == '0' or ARGV[6] == '0' then
    break
  end
  -- The second part of the id is the time in ms.
  local time = redis.call('TIME')
  local id = text .. '-' .. string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  local added = redis.pcall('XADD', KEYS[2], 'MAXLEN', '=', ARGV[5], id, 'm', ARGV[3])
  if not added.err then
    redis.call('EXPIRE', KEYS[2], ARGV[6])
    break
  end
  is_ours = false
  if attempt == 2 or not (string.find(added.err, 'WRONGTYPE', 1, true)
      or string.find(added.err, 'equal or smaller', 1, true)) then
    return added
  end
end
local text = string.format('%.0f', offset)
redis.call('HSET', KEYS[1], 'offset', text)
redis.call('EXPIRE', KEYS[1], ARGV[4])
if ARGV[7] ~= '0' then
  redis.call('HSET', KEYS[3], 'epoch', epoch, 'offset', text)
  redis.call('EXPIRE', KEYS[3], ARGV[7])
end
return {epoch, offset}
