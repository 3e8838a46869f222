-- Returns who is in a room: {connections, users, info of each connection}.
-- KEYS: 1 hash of connections, 2 sorted set of connections by the time, in ms, at which they count as gone
-- ARGV: 1 '1' to get the infos
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local clients, users, seen, infos = 0, 0, {}, {}
for _, client in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. now, '+inf')) do
  local kept = redis.call('HGET', KEYS[1], client)
  if kept then
    local cut = string.find(kept, '\n', 1, true)
    local user = string.sub(kept, 1, cut - 1)
    clients = clients + 1
    if not seen[user] then
      seen[user] = true
      users = users + 1
    end
    if ARGV[1] == '1' then
      table.insert(infos, string.sub(kept, cut + 1))
    end
  end
end
return {clients, users, infos}
