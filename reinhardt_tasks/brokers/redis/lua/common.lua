-- Put before every script, with gates.lua and stores.lua. KEYS[1] is the shard's base, in the shard's slot; all other keys begin with it:
--   job:<id>          hash    the job; its fields are listed in records.py
--   ready:<queue>     zset    id -> score: rank (priority, then due time, then the id itself), coroutines below 0, see score
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
--   waited              string  written where WAIT has to be about something
--   answer:<id>         string  what was answered to one call, for a while: see answered
--   reserved:<key>    string  id, perhaps of another shard: whoever spreads jobs asks here first; reserved-limits:<key> has the
--                             limits of that job, where it has any: they say where it lies
--   bell:<queue>      list    one token for each worker that should look; bell:* for those who serve all queues. Coroutines
--                             ring chime:<queue> and chime:* instead
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

-- Where a job lies among those that are ready. The ranks of coroutines are moved below 0, so that each kind is a range of its
-- own in one set: whoever has room for one kind does not walk over the other, and whoever knows nothing of kinds finds all.
-- 2^53: all of this is exact in a double, too.
local BELOW = 9007199254740992
local function score(its_rank, is_async)
  return string.format('%.0f', is_async and its_rank - BELOW or its_rank)
end

local function rank_of(its_score)
  return its_score < 0 and its_score + BELOW or its_score
end

-- The first `limit` ready jobs of a kind, as ids and scores in turn.
local function first_ready(queue, is_async, limit)
  local least, most = '0', '+inf'
  if is_async then
    least, most = '-inf', '(0'
  end
  return redis.call('ZRANGEBYSCORE', key('ready', queue), least, most, 'WITHSCORES', 'LIMIT', 0, limit)
end

-- A key of another type, or a hash that is none, must not stop the others: what reads it is told nil.
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    return nil
  end
  return answer
end

local MOST_TOKENS = 16
local function ring(queue, count, is_async)
  count = math.min(count, MOST_TOKENS)
  for _, name in ipairs({queue, '*'}) do
    local bell = key(is_async and 'chime' or 'bell', name)
    -- What lies under its name and is no bell is cleared away by whoever looks before it sleeps.
    local missing = count - (try('LLEN', bell) or count)
    if missing > 0 then
      local tokens = {}
      for number = 1, missing do
        tokens[number] = '1'
      end
      redis.call('RPUSH', bell, unpack(tokens))
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

-- Puts a job where its state says that it lies; rings where it is ready.
local function place(id, queue, status, priority, due, is_async)
  redis.call('SADD', base .. 'queues', queue)
  if status == 'PENDING' then
    redis.call('ZADD', key('ready', queue), score(rank(priority, due), is_async), id)
    ring(queue, 1, is_async)
    return
  end
  local line = key(status == 'RETRY' and 'retry' or 'later', queue)
  redis.call('ZADD', line, string.format('%.0f', due), id)
  if redis.call('ZRANGE', line, 0, 0)[1] == id then
    -- It is due before everything that sleepers know of, and they nap until the first is due, whatever its kind.
    ring(queue, 1, false)
    ring(queue, 1, true)
  end
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
  local found = redis.call('HMGET', key('job', id), 'once', 'fk')
  local once = found[1]
  if once and redis.call('GET', key('once', once)) == id then
    redis.call('DEL', key('once', once))
  end
  redis.call('DEL', key('job', id))
  redis.call('ZREM', base .. 'ended', id)
  redis.call('ZREM', base .. 'failures', id)
  redis.call('ZREM', base .. 'all', id)
  return once or found[2]
end

local function is_queue_sound(queue)
  if not queue then
    return base .. 'job'
  end
  for _, kind in ipairs({'ready', 'later', 'retry'}) do
    if not try('ZCARD', key(kind, queue)) then
      return key(kind, queue)
    end
  end
  return not try('LLEN', key('bell', queue)) and key('bell', queue) or nil
end

-- A job's log with what another attempt adds, see joined_log in log_lines.py.
local LOG_LETTERS = 100000
local function joined_log(job, more)
  return string.sub(redis.call('HGET', job, 'lg') or '', -LOG_LETTERS) .. more
end

-- A job's fields and values without its log, which is long, and of no use to a claim or a list.
local function without_log(fields)
  for at = 1, #fields, 2 do
    if fields[at] == 'lg' then
      fields[at + 1] = ''
    end
  end
  return fields
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

-- What people do is sent again where its answer was lost, and would then find nothing left to do. KEYS[2] keeps for a while what
-- it answered the first time.
local ANSWERED = 120
local function answered_before()
  local text = KEYS[2] and redis.call('GET', KEYS[2])
  return text and cjson.decode(text)
end

local function answered(answer, is_anything)
  if KEYS[2] and is_anything then
    redis.call('SET', KEYS[2], cjson.encode(answer), 'EX', ANSWERED)
  end
  return answer
end
