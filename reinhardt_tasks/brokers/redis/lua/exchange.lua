-- Settles outcomes, then claims.
-- ARGV: worker, lease (µs), ttl of finished jobs (ms, 0: none), number of outcomes, room (functions, coroutines, both
--       together), number of queues (-1: all), queues, outcomes (seven values each: id, token, status, result, history,
--       delay in µs ('' keeps the due time), what it logged ('' for nothing)).
-- Returns {indexes of lost outcomes, claimed jobs}, a job being {id, fields and values}.
local worker, lease, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local outcomes = tonumber(ARGV[4])
local rooms = {[false] = tonumber(ARGV[5]), [true] = tonumber(ARGV[6])}
local limit, count = tonumber(ARGV[7]), tonumber(ARGV[8])
local OUTCOME_WIDTH = 7
local first_outcome = 9 + math.max(count, 0)

press_on()

-- What is written once for all outcomes: worker -> ids that it holds no more; members of the two lists of ended jobs.
local let_go, ended, failures = {}, {}, {}

local function settle(at)
  local id, token, status = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local job = key('job', id)
  local held = try('HMGET', job, 'tk', 'hb', 'cr', 'q', 'p', 'du', 'lm', 'once', 'un', 'co')
  if not held or held[1] ~= token or not held[2] or held[2] == '' then
    return false
  end
  local queue, due = held[4], tonumber(held[6]) or now
  if (status == 'PENDING' or status == 'RETRY' or status == 'SCHEDULED') and is_queue_sound(queue) then
    -- There is no line to put it into. Its history is not lost: somebody may mend the key and retry it.
    status = 'FAILURE'
  end
  local ids = part(let_go, held[2])
  ids[#ids + 1] = id
  if held[3] then
    redis.call('SREM', key('stop', held[2]), id)
    if status ~= 'FAILURE' then
      status = 'CANCELLED'
    end
  end
  local fields = {'hb', '', 'st', status}
  if ARGV[at + 4] ~= '' then
    fields[#fields + 1] = 'hs'
    fields[#fields + 1] = ARGV[at + 4]
  end
  if ARGV[at + 6] ~= '' then
    fields[#fields + 1] = 'lg'
    fields[#fields + 1] = joined_log(job, ARGV[at + 6])
  end
  if status == 'SUCCESS' or status == 'FAILURE' or status == 'CANCELLED' then
    if status == 'SUCCESS' then
      fields[#fields + 1] = 'rs'
      fields[#fields + 1] = ARGV[at + 3]
    else
      failures[#failures + 1] = 0
      failures[#failures + 1] = id
    end
    redis.call('HSET', job, 'fi', now_text, unpack(fields))
    if held[7] then
      gates().leave(id)
    end
    free_key(id, held[8], held[9], true)
    ended[#ended + 1] = now_text
    ended[#ended + 1] = id
    expire(id, ttl)
    return true
  end
  if ARGV[at + 5] ~= '' then
    due = now + tonumber(ARGV[at + 5])
  end
  redis.call('HSET', job, 'du', string.format('%.0f', due), unpack(fields))
  free_key(id, held[8], held[9], false)
  settle_down(id, queue, status, tonumber(held[5]), due, held[7], held[10])
  return true
end

local lost = {}
for number = 0, outcomes - 1 do
  if not settle(first_outcome + number * OUTCOME_WIDTH) then
    lost[#lost + 1] = number
  end
end

for holder, ids in pairs(let_go) do
  in_slices('HDEL', key('held', holder), ids)
end
in_slices('ZADD', base .. 'ended', ended)
in_slices('ZADD', base .. 'failures', failures)

if limit <= 0 then
  return {lost, {}}
end

local queues = {}
if count < 0 then
  queues = redis.call('SMEMBERS', base .. 'queues')
else
  for number = 1, count do
    queues[number] = ARGV[8 + number]
  end
end

-- A claim is a sign of life.
redis.call('ZADD', base .. 'workers', string.format('%.0f', now + lease), worker)

-- All of them before any is read: what becomes due in one may take the place of what is ready in another.
local open = {}
for _, queue in ipairs(queues) do
  if redis.call('SISMEMBER', base .. 'paused', queue) == 0 and not is_queue_sound(queue) then
    promote(queue)
    open[#open + 1] = queue
  end
end

local heads, ranges = {}, 0
for _, queue in ipairs(open) do
  for is_async, room in pairs(rooms) do
    if room > 0 then
      local found = first_ready(queue, is_async, room)
      ranges = ranges + (found[1] and 1 or 0)
      for at = 1, #found, 2 do
        heads[#heads + 1] = {rank_of(tonumber(found[at + 1])), found[at], queue, is_async}
      end
    end
  end
end
if ranges > 1 then
  table.sort(heads, function(a, b)
    if a[1] ~= b[1] then
      return a[1] < b[1]
    end
    return a[2] < b[2]
  end)
end

local chosen = {}
for _, head in ipairs(heads) do
  local is_async = head[4]
  if #chosen < limit and rooms[is_async] > 0 then
    rooms[is_async] = rooms[is_async] - 1
    chosen[#chosen + 1] = head
  end
end

local claims, taken, tokens = {}, {}, {}
for _, head in ipairs(chosen) do
  local id, queue = head[2], head[3]
  local job = key('job', id)
  local ids = part(taken, queue)
  ids[#ids + 1] = id
  local fields, known = try('HGETALL', job) or {}, {}
  for at = 1, #fields, 2 do
    known[fields[at]] = fields[at + 1]
  end
  if known.lg then
    without_log(fields)
  end
  if known.a then
    local token = string.format('%.0f', (tonumber(known.tk) or 0) + 1)
    local news = {'tk', token, 'st', 'RUNNING', 'wk', worker, 'hb', worker, 'sa', now_text, 's1', known.s1 or now_text}
    redis.call('HSET', job, unpack(news))
    tokens[#tokens + 1] = id
    tokens[#tokens + 1] = token
    -- The reader takes the last value of a field.
    for at = 1, #news do
      fields[#fields + 1] = news[at]
    end
    if known.un == 'started' and known.once then
      free_key(id, known.once, known.un, false)
      fields[#fields + 1] = 'once'
      fields[#fields + 1] = ''
    end
    if known.lm then
      gates().start(id)
    end
    claims[#claims + 1] = {id, fields}
  elseif #fields > 0 then
    if known.lm then
      gates().leave(id)
    end
    -- What is damaged beyond reading is not a job any more.
    redis.call('DEL', job)
  end
end
for queue, ids in pairs(taken) do
  in_slices('ZREM', key('ready', queue), ids)
end
in_slices('HSET', key('held', worker), tokens)
return {lost, claims}
