-- Gives a publication the room's next offset, keeps it and broadcasts it, in one step.
-- KEYS: 1 the room's meta hash, 2 its stream, 3 its idempotency key
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

-- Foreign data in the keys of the room: it starts again, and history.lua reports it.
local function start_again()
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'repaired', '1')
end

local is_new = redis.pcall('HSETNX', KEYS[1], 'epoch', ARGV[2])
if is_new == 1 then
  -- Publications of an older epoch must not appear in this one.
  redis.call('DEL', KEYS[2])
elseif is_new ~= 0 then
  if not string.find(is_new.err, 'WRONGTYPE', 1, true) then
    return is_new
  end
  start_again()
end
local kept = redis.call('HMGET', KEYS[1], 'epoch', 'offset')
local epoch, offset = kept[1], tonumber(kept[2] or 0)
if not offset or offset < 0 or offset > 2^53 or offset % 1 ~= 0 or not string.find(epoch, '^%w+$') then
  start_again()
  epoch, offset = ARGV[2], 0
end

-- Broadcast before it is kept: if the channel is not allowed, nothing is kept. A Redis that takes
-- no writes (out of memory, a replica) has refused HSETNX above, before anything was sent.
-- No msgpack value starts with 0xC1: it marks a message with a position in front.
local function broadcast()
  offset = offset + 1
  redis.call('PUBLISH', ARGV[1], '\193' .. string.format('%.0f', offset) .. ':' .. epoch .. '\n' .. ARGV[3])
end

local function keep(run)
  -- The second part of the id is the time in ms.
  local time = redis.call('TIME')
  local id = string.format('%.0f-%.0f', offset, time[1] * 1000 + math.floor(time[2] / 1000))
  return run('XADD', KEYS[2], 'MAXLEN', '=', ARGV[5], id, 'm', ARGV[3])
end

broadcast()
if ARGV[5] ~= '0' and ARGV[6] ~= '0' then
  local added = keep(redis.pcall)
  if added.err then
    if not string.find(added.err, 'WRONGTYPE', 1, true) and not string.find(added.err, 'equal or smaller', 1, true) then
      return added
    end
    -- Members see the new epoch, and start again.
    start_again()
    epoch, offset = ARGV[2], 0
    broadcast()
    keep(redis.call)
  end
  redis.call('EXPIRE', KEYS[2], ARGV[6])
end
redis.call('HSET', KEYS[1], 'offset', string.format('%.0f', offset))
redis.call('EXPIRE', KEYS[1], ARGV[4])
if ARGV[7] ~= '0' then
  redis.call('HSET', KEYS[3], 'epoch', epoch, 'offset', string.format('%.0f', offset))
  redis.call('EXPIRE', KEYS[3], ARGV[7])
end
return {epoch, offset}
