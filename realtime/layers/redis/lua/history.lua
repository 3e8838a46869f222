-- Returns the position of a room, some of its kept publications, and 1 if it has started again
-- because its keys held foreign data. A room without an epoch gets one, so that a client can
-- recover from this position later.
-- KEYS: 1 the room's meta hash, 2 its stream, 3 what is noted of the runs
-- ARGV: 1 epoch for a room that has none, 2 meta TTL in seconds, 3 how many to read,
--       4 '+' for the oldest first, '-' for the newest first, 5 and 6 the range of stream ids,
--       7 how many bytes to read; the first publication is read whatever its size
local AT_ONCE = 16
local repaired = 0
local lineage = lineage_in(KEYS[3])

local function start_again()
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'lineage', lineage)
  repaired = 1
end

-- The entries, or nil if the stream is not ours.
local function read(newest)
  local entries, bytes, left, start = {}, 0, tonumber(ARGV[3]), ARGV[5]
  while left > 0 do
    local found = redis.pcall(ARGV[4] == '+' and 'XRANGE' or 'XREVRANGE', KEYS[2], start, ARGV[6],
                              'COUNT', math.min(left, AT_ONCE))
    if found.err then
      if string.find(found.err, 'WRONGTYPE', 1, true) then
        return nil
      end
      error(found)
    end
    for _, entry in ipairs(found) do
      local field, message = entry[2][1], entry[2][2]
      local offset = tonumber(string.match(entry[1], '^%d+'))
      if field ~= 'm' or #entry[2] ~= 2 or offset < 1 or offset > newest then
        return nil
      end
      bytes = bytes + #message
      if bytes > tonumber(ARGV[7]) and #entries > 0 then
        return entries
      end
      table.insert(entries, {entry[1], message})
      start = '(' .. entry[1]
    end
    if #found < math.min(left, AT_ONCE) then
      break
    end
    left = left - #found
  end
  return entries
end

local is_new = redis.pcall('HSETNX', KEYS[1], 'epoch', ARGV[1])
if is_new == 1 then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'lineage', lineage)
elseif is_new ~= 0 then
  if not string.find(is_new.err, 'WRONGTYPE', 1, true) then
    return is_new
  end
  start_again()
end
local kept = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'repaired', 'lineage')
if kept[4] ~= lineage then
  -- Publications may have been lost since: no fault of the room's.
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'lineage', lineage)
  kept = {ARGV[1], false, kept[3]}
end
local epoch, offset = kept[1], tonumber(kept[2] or 0)
if kept[3] then
  redis.call('HDEL', KEYS[1], 'repaired')
  repaired = 1
end
local entries = nil
if offset and offset >= 0 and offset <= 2^53 and offset % 1 == 0 and string.find(epoch, '^%w+$') then
  entries = read(offset)
end
if not entries then
  start_again()
  epoch, offset, entries = ARGV[1], 0, {}
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {epoch, offset, entries, repaired}
