-- Stores who is in a room, and returns the users who have joined or left since the last call.
-- KEYS: 1 hash of connections: client -> user, newline, info
--       2 sorted set of connections by the time, in ms, at which they count as gone
--       3 hash of users: user -> number of connections
--       4 hash of users whose last connection has ended: user -> that connection
-- Returns the infos of those who joined, of those who left, and 1 if the keys held foreign data and
-- were emptied: then all processes have to write their members again.
-- ARGV: 1 TTL of a connection in ms, 2 ms until the last connection of a user that ended counts as
--       gone, 3 how many connections are there, then client, user and info of each, then those
--       that ended.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local joined, left = {}, {}

local function count(command, key)
  local found = redis.pcall(command, key)
  return type(found) == 'number' and found or -1
end

local connections, users = count('HLEN', KEYS[1]), count('HLEN', KEYS[3])
local repaired = 0
if connections < 0 or connections ~= count('ZCARD', KEYS[2]) or users < 0 or users > connections
    or (users == 0) ~= (connections == 0) or count('HLEN', KEYS[4]) < 0 then
  redis.call('DEL', unpack(KEYS))
  repaired = 1
end

local function forget(client)
  local kept = redis.call('HGET', KEYS[1], client)
  redis.call('ZREM', KEYS[2], client)
  if not kept then
    return
  end
  redis.call('HDEL', KEYS[1], client)
  local cut = string.find(kept, '\n', 1, true)
  local user = string.sub(kept, 1, cut - 1)
  if redis.call('HGET', KEYS[4], user) == client then
    redis.call('HDEL', KEYS[4], user)
  end
  if redis.call('HINCRBY', KEYS[3], user, -1) <= 0 then
    redis.call('HDEL', KEYS[3], user)
    left[user] = string.sub(kept, cut + 1)
  end
end

local at = 4
for _ = 1, ARGV[3] do
  local client, user, info = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  if redis.call('HEXISTS', KEYS[1], client) == 0 then
    redis.call('HSET', KEYS[1], client, user .. '\n' .. info)
    if redis.call('HINCRBY', KEYS[3], user, 1) == 1 then
      joined[user] = info
    end
    local ended = redis.call('HGET', KEYS[4], user)
    if ended then
      forget(ended)
    end
  elseif redis.call('HGET', KEYS[4], user) == client then
    redis.call('HDEL', KEYS[4], user)
  end
  redis.call('ZADD', KEYS[2], now + ARGV[1], client)
end
for index = at, #ARGV do
  local client = ARGV[index]
  local kept = redis.call('HGET', KEYS[1], client)
  if kept then
    local user = string.sub(kept, 1, string.find(kept, '\n', 1, true) - 1)
    if tonumber(redis.call('HGET', KEYS[3], user)) > 1 or ARGV[2] == '0' then
      forget(client)
    else
      redis.call('ZADD', KEYS[2], now + ARGV[2], client)
      redis.call('HSET', KEYS[4], user, client)
    end
  end
end
-- Last, so that a user who has come back in time has not left.
for _, client in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  forget(client)
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, math.max(ARGV[1], ARGV[2]) * 2)
end

local news = {{}, {}, repaired}
for _, info in pairs(joined) do
  table.insert(news[1], info)
end
for _, info in pairs(left) do
  table.insert(news[2], info)
end
return news
