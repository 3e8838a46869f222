-- Stands before the scripts that number publications, and before adopt.lua.
-- A lineage is the run of Redis since which no publication was lost. A room remembers the one of its
-- epoch, and starts again if it has ended: offsets that were given already could be given again.

-- Takes note of which run of Redis this is. Returns the lineage, and whether Redis tells the run.
-- `key` is a hash: run -> the id of the last run, lineage
local function adopt(key)
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then
    redis.call('DEL', key)
  end
  local info = redis.pcall('INFO', 'server', 'persistence', 'replication')
  -- A master that was a replica in between has the run of before, but another id of its replication.
  local process = type(info) == 'string' and string.match(info, 'run_id:(%w+)')
  local run = process and process .. (string.match(info, 'master_replid:(%w+)') or '')
  local known = redis.call('HMGET', key, 'run', 'lineage')
  if not run then
    if not known[2] then
      redis.call('HSET', key, 'lineage', 'unknown')
    end
    return known[2] or 'unknown', false
  end
  if known[1] == run and known[2] then
    return known[2], true
  end
  -- Snapshots are older than the last publications. A file of all commands has them; a replica that
  -- has become the master may lack some.
  local keeps_all = known[2] and string.find(info, 'aof_enabled:1', 1, true)
      and string.find(info, 'second_repl_offset:-1', 1, true)
  local lineage = keeps_all and known[2] or run
  redis.call('HSET', key, 'run', run, 'lineage', lineage)
  return lineage, true
end

local function lineage_in(key)
  local lineage = redis.pcall('HGET', key, 'lineage')
  return type(lineage) == 'string' and lineage or adopt(key)
end
