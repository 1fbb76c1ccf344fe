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
local now_text = string.format('%.0f', now)

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

local TOKENS = {}
for number = 1, 16 do
  TOKENS[number] = '1'
end
local function ring(queue, count)
  count = math.min(count, #TOKENS)
  for _, name in ipairs({queue, '*'}) do
    local bell = key('bell', name)
    local missing = count - redis.call('LLEN', bell)
    if missing > 0 then
      redis.call('RPUSH', bell, unpack(TOKENS, 1, missing))
    end
  end
end

-- What `unpack` can lay on Lua's stack at once is limited.
local SLICE = 4000
local function in_slices(command, name, values)
  for first = 1, #values, SLICE do
    redis.call(command, name, unpack(values, first, math.min(first + SLICE - 1, #values)))
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
local function expire(id, ttl)
  if ttl and ttl > 0 then
    redis.call('PEXPIRE', key('job', id), string.format('%.0f', ttl + SLACK))
  end
end

local function finish(id, status, ttl)
  redis.call('ZADD', base .. 'ended', now_text, id)
  if status ~= 'SUCCESS' then
    redis.call('ZADD', base .. 'failures', 0, id)
  end
  expire(id, ttl)
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

-- A table inside a table, made when it is first asked for.
local function part(whole, name)
  local found = whole[name]
  if not found then
    found = {}
    whole[name] = found
  end
  return found
end

local JOB_WIDTH = 9

-- The id of the job that stands for the one at ARGV[at], in the store or among those before it in `batch`; nil for none.
local function first_of(at, batch)
  local id, once = ARGV[at], ARGV[at + 7]
  if batch.jobs[id] or redis.call('EXISTS', key('job', id)) == 1 then
    return id
  end
  if once == '' then
    return nil
  end
  local known = batch.onces[once] or redis.call('GET', key('once', once))
  -- Where that job has expired, nothing would run in its place.
  if known and (batch.jobs[known] or redis.call('EXISTS', key('job', known)) == 1) then
    return known
  end
  return nil
end

-- The jobs at ARGV[first] and after, nine values each: id, name, queue, priority, payload, run_after, max_attempts,
-- once_key, metadata ('' is none). `stamp` is the time at which they count as enqueued, now by default. Returns for each '',
-- or the id of the job that was there first and stands for it.
local function store(first, count, stamp)
  local answer, all, queues = {}, {}, {}
  local lines, fresh, soonest = {}, {}, {}
  local batch = {jobs = {}, onces = {}}
  local stamped = stamp and string.format('%.0f', stamp) or now_text
  for number = 0, count - 1 do
    local at = first + number * JOB_WIDTH
    local id, queue, run_after, once = ARGV[at], ARGV[at + 2], ARGV[at + 5], ARGV[at + 7]
    local known = first_of(at, batch)
    if not known then
      local status, due, due_text = 'PENDING', stamp or now, stamped
      if run_after ~= '' then
        due, due_text = tonumber(run_after), run_after
        status = due > now and 'SCHEDULED' or 'PENDING'
      end
      local line, score
      if status == 'PENDING' then
        line, score = key('ready', queue), string.format('%.0f', rank(tonumber(ARGV[at + 3]), due))
        fresh[queue] = (fresh[queue] or 0) + 1
      else
        line, score = key('later', queue), due_text
        soonest[queue] = math.min(soonest[queue] or due, due)
      end
      local members = part(lines, line)
      members[#members + 1] = score
      members[#members + 1] = id
      local fields = {'n', ARGV[at + 1], 'q', queue, 'p', ARGV[at + 3], 'a', ARGV[at + 4], 'st', status,
                      'en', stamped, 'du', due_text}
      local function also(name, value)
        if value ~= '' then
          fields[#fields + 1] = name
          fields[#fields + 1] = value
        end
      end
      also('ra', run_after)
      also('mx', ARGV[at + 6])
      also('once', once)
      also('md', ARGV[at + 8])
      batch.jobs[id] = fields
      if once ~= '' then
        batch.onces[once] = id
      end
      queues[queue] = true
      all[#all + 1] = 0
      all[#all + 1] = id
    end
    answer[number + 1] = known or ''
  end
  for queue, due in pairs(soonest) do
    local head = redis.call('ZRANGE', key('later', queue), 0, 0, 'WITHSCORES')[2]
    if not head or due < tonumber(head) then
      -- It is due before everything that sleepers know of.
      fresh[queue] = fresh[queue] or 1
    end
  end
  for queue, ready in pairs(fresh) do
    ring(queue, ready)
  end
  for line, members in pairs(lines) do
    in_slices('ZADD', line, members)
  end
  for id, fields in pairs(batch.jobs) do
    redis.call('HSET', key('job', id), unpack(fields))
  end
  for once, id in pairs(batch.onces) do
    redis.call('SET', key('once', once), id)
  end
  for queue in pairs(queues) do
    redis.call('SADD', base .. 'queues', queue)
  end
  in_slices('ZADD', base .. 'all', all)
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
