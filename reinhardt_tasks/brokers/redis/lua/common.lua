-- Put before every script. KEYS[1] is the shard's base, in the shard's slot; all other keys begin with it:
--   job:<id>          hash    the job; its fields are listed in records.py
--   ready:<queue>     zset    id -> rank: priority, then due time, then (equal scores) the id itself
--   later:<queue>     zset    id -> due time: SCHEDULED
--   retry:<queue>     zset    id -> due time: RETRY
--   queues            set     every queue that has had a job
--   held:<worker>     hash    id -> token
--   stop:<worker>     set     ids of running jobs that were cancelled
--   workers           zset    worker -> end of its lease
--   worker:<worker>   hash    what it said of itself
--   paused            set     queues from which nothing is claimed
--   ended             zset    id -> finishing time
--   failures          zset    id -> 0: FAILURE and CANCELLED, in the order of ids
--   all               zset    id -> 0: every job, in the order of ids
--   once:<key>        string  id
--   reserved:<key>    string  id, perhaps of another shard: whoever spreads jobs asks here first
--   outgoing          list    followers that belong to other shards, on their way there
--   bell:<queue>      list    one token for each worker that should look; bell:* for those who serve all queues
-- Times are microseconds since 1970, by this server's clock. Arguments and results are never looked into.
local base = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- A damaged job may have no queue, no priority, no due time: it must not stop the others.
local function key(kind, name)
  return base .. kind .. ':' .. (name or '')
end

-- 1 for every 1/16 ms since 2020, below 2^45; above it the turned priority. All of it is exact in a double.
local function rank(priority, due)
  priority, due = priority or 0, due or now
  local age = math.floor((due - 1577836800000000) / 62.5)
  return (100 - priority) * 35184372088832 + math.max(0, math.min(age, 35184372088831))
end

local function ring(queue, count)
  for _, name in ipairs({queue, '*'}) do
    local bell = key('bell', name)
    for _ = redis.call('LLEN', bell) + 1, math.min(count, 16) do
      redis.call('RPUSH', bell, '1')
    end
  end
end

-- Puts a job where its state says that it lies. Returns whether it is ready.
local function place(id, queue, status, priority, due)
  redis.call('SADD', base .. 'queues', queue)
  if status == 'PENDING' then
    redis.call('ZADD', key('ready', queue), string.format('%.0f', rank(priority, due)), id)
    return true
  end
  local line = key(status == 'RETRY' and 'retry' or 'later', queue)
  redis.call('ZADD', line, string.format('%.0f', due), id)
  if redis.call('ZRANGE', line, 0, 0)[1] == id then
    -- It is due before everything that sleepers know of.
    ring(queue, 1)
  end
  return false
end

-- A server that is full takes a script's writes if the first one can only free memory. Whoever settles, claims or renews a
-- lease must get through, or the memory would never become free.
local function press_on()
  redis.call('DEL', base .. 'nothing')
end

local function unplace(id, queue, status)
  if status == 'PENDING' then
    redis.call('ZREM', key('ready', queue), id)
  elseif status == 'RETRY' then
    redis.call('ZREM', key('retry', queue), id)
  elseif status == 'SCHEDULED' then
    redis.call('ZREM', key('later', queue), id)
  end
end

-- Whoever prunes comes first, and clears away what hangs on a job; the expiry is for a store that nobody prunes.
local SLACK = 600000
local function finish(id, status, ttl)
  redis.call('ZADD', base .. 'ended', string.format('%.0f', now), id)
  if status ~= 'SUCCESS' then
    redis.call('ZADD', base .. 'failures', 0, id)
  end
  if ttl and ttl > 0 then
    redis.call('PEXPIRE', key('job', id), string.format('%.0f', ttl + SLACK))
  end
end

local function unfinish(id)
  redis.call('ZREM', base .. 'ended', id)
  redis.call('ZREM', base .. 'failures', id)
  redis.call('PERSIST', key('job', id))
end

local function forget(id)
  local once = redis.call('HGET', key('job', id), 'once')
  if once and redis.call('GET', key('once', once)) == id then
    redis.call('DEL', key('once', once))
  end
  redis.call('DEL', key('job', id))
  redis.call('ZREM', base .. 'ended', id)
  redis.call('ZREM', base .. 'failures', id)
  redis.call('ZREM', base .. 'all', id)
  return once
end

-- A key of another type, or a hash that is none, must not stop the others: what reads it is told nil.
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    return nil
  end
  return answer
end

local function is_queue_sound(queue)
  if not queue then
    return base .. 'job'
  end
  for _, kind in ipairs({'ready', 'later', 'retry'}) do
    local found = redis.call('TYPE', key(kind, queue)).ok
    if found ~= 'none' and found ~= 'zset' then
      return key(kind, queue)
    end
  end
  local bell = redis.call('TYPE', key('bell', queue)).ok
  if bell ~= 'none' and bell ~= 'list' then
    return key('bell', queue)
  end
  return nil
end

-- Makes ready what is due in a queue.
local function promote(queue)
  for _, kind in ipairs({'later', 'retry'}) do
    local due = try('ZRANGEBYSCORE', key(kind, queue), '-inf', now, 'LIMIT', 0, 500) or {}
    for _, id in ipairs(due) do
      redis.call('ZREM', key(kind, queue), id)
      local job = try('HMGET', key('job', id), 'p', 'du')
      if job and job[1] then
        redis.call('HSET', key('job', id), 'st', 'PENDING')
        redis.call('ZADD', key('ready', queue), string.format('%.0f', rank(tonumber(job[1]), tonumber(job[2]))), id)
      end
    end
  end
end

-- The jobs at ARGV[first] and after, nine values each: id, name, queue, priority, payload, run_after, max_attempts,
-- once_key, metadata ('' is none). `stamp` is the time at which they count as enqueued, now by default. Returns for each '', or the id of the job that was there first and stands for it.
local JOB_WIDTH = 9
local function store(first, count, stamp)
  local answer, fresh = {}, {}
  for number = 0, count - 1 do
    local at = first + number * JOB_WIDTH
    local id, queue, once = ARGV[at], ARGV[at + 2], ARGV[at + 7]
    local known = redis.call('EXISTS', key('job', id)) == 1 and id
    if not known and once ~= '' then
      known = redis.call('GET', key('once', once))
      if known and redis.call('EXISTS', key('job', known)) == 0 then
        -- The job has expired: nothing would run in its place.
        known = false
      end
    end
    if not known then
      local priority, due, status = tonumber(ARGV[at + 3]), stamp or now, 'PENDING'
      local fields = {'n', ARGV[at + 1], 'q', queue, 'p', ARGV[at + 3], 'a', ARGV[at + 4], 'tk', 0,
                      'en', string.format('%.0f', due)}
      if ARGV[at + 5] ~= '' then
        due = tonumber(ARGV[at + 5])
        status = due > now and 'SCHEDULED' or 'PENDING'
        fields[#fields + 1] = 'ra'
        fields[#fields + 1] = ARGV[at + 5]
      end
      for offset, name in pairs({[6] = 'mx', [7] = 'once', [8] = 'md'}) do
        if ARGV[at + offset] ~= '' then
          fields[#fields + 1] = name
          fields[#fields + 1] = ARGV[at + offset]
        end
      end
      redis.call('HSET', key('job', id), 'st', status, 'du', string.format('%.0f', due), unpack(fields))
      redis.call('ZADD', base .. 'all', 0, id)
      if once ~= '' then
        redis.call('SET', key('once', once), id)
      end
      if place(id, queue, status, priority, due) then
        fresh[queue] = (fresh[queue] or 0) + 1
      end
    end
    answer[number + 1] = known or ''
  end
  for queue, count in pairs(fresh) do
    ring(queue, count)
  end
  return answer
end

-- Checks the queues of the jobs at ARGV[first] before anything is written: a script that fails half way is not undone.
local function check_store(first, count)
  local seen = {}
  for number = 0, count - 1 do
    local queue = ARGV[first + number * JOB_WIDTH + 2]
    if not seen[queue] then
      seen[queue] = true
      local bad = is_queue_sound(queue)
      if bad then
        return redis.error_reply('WRONGTYPE the key ' .. bad .. ' is not of the type that a queue has')
      end
    end
  end
  return nil
end
