-- Limits: put before every script, behind common.lua. What is here is made when a script first meets a job with limits.
--   gate:<key>        hash    size, every (µs; 0: concurrency), said (the youngest job, whose word that is), reach (see Limit)
--   passed:<key>      zset    id -> rank: those that are past it, and have not ended (concurrency) or begun (rate)
--   line:<key>        zset    id -> rank: those that are parked there
--   parked:<queue>    set     ids that are in some line: only to count them
--   pacing:<queue>    set     ids in later:<queue> that a rate has let pass from a moment on: PENDING, not SCHEDULED
-- A job's hash has its limits (lm), how many of them it has passed (gt), and when its once key is free (un).

-- The limits in a job's text; nil where it is damaged: a script that fails half way over one job is not undone for the others.
local function limits_in(text)
  local is_sound, limits = pcall(cjson.decode, text)
  if not is_sound or type(limits) ~= 'table' then
    return nil
  end
  for _, limit in ipairs(limits) do
    if type(limit) ~= 'table' or type(limit[1]) ~= 'string' or type(limit[2]) ~= 'number' or type(limit[3]) ~= 'number' then
      return nil
    end
  end
  return limits
end

local made_gates
local function make_gates()
  local g = {}
  -- Nobody asks for a rule so long after it says nothing any more (ms).
  local KEPT = 3600000

  local function read(id)
    local found = try('HMGET', key('job', id), 'lm', 'gt', 'q', 'p', 'du', 'st', 'co')
    if not found or not found[1] then
      return nil
    end
    local limits = limits_in(found[1])
    if not limits or is_queue_sound(found[3]) then
      return nil
    end
    return {id = id, limits = limits, passed = tonumber(found[2]) or 0, queue = found[3], status = found[6],
            rank = rank(tonumber(found[4]), tonumber(found[5])), is_async = found[7] == '1'}
  end

  local function rule_of(name)
    local found = redis.call('HMGET', key('gate', name), 'size', 'every', 'reach')
    return {size = tonumber(found[1]) or 0, every = tonumber(found[2]) or 0, reach = tonumber(found[3]) or 0}
  end

  -- Lets an idle rule go in time.
  local function rest(name, reach)
    if redis.call('EXISTS', key('passed', name), key('line', name)) == 0 then
      redis.call('PEXPIRE', key('gate', name), string.format('%.0f', math.max(0, (reach or 0) - now) / 1000 + KEPT))
    end
  end

  local fill

  -- Puts a job that has passed all into its queue; or into the line before the next.
  local function go_on(job)
    local limit = job.limits[job.passed + 1]
    if not limit then
      redis.call('SADD', base .. 'queues', job.queue)
      redis.call('ZADD', key('ready', job.queue), score(job.rank, job.is_async), job.id)
      ring(job.queue, 1, job.is_async)
      return
    end
    redis.call('ZADD', key('line', limit[1]), string.format('%.0f', job.rank), job.id)
    redis.call('SADD', key('parked', job.queue), job.id)
    fill(limit[1], true)
  end

  local function pass(job, name, opens_at)
    redis.call('ZREM', key('line', name), job.id)
    redis.call('SREM', key('parked', job.queue), job.id)
    redis.call('ZADD', key('passed', name), string.format('%.0f', job.rank), job.id)
    job.passed = job.passed + 1
    redis.call('HSET', key('job', job.id), 'gt', job.passed, 'op', string.format('%.0f', opens_at))
    if opens_at <= now then
      return go_on(job)
    end
    redis.call('SADD', base .. 'queues', job.queue)
    redis.call('SADD', key('pacing', job.queue), job.id)
    redis.call('ZADD', key('later', job.queue), string.format('%.0f', opens_at), job.id)
    ring(job.queue, 1, job.is_async)
  end

  -- Takes all from a job that it has of its limits; returns the keys that it had passed.
  local function strip(job)
    local freed = {}
    for number, limit in ipairs(job.limits) do
      if redis.call('ZREM', key('passed', limit[1]), job.id) == 1 then
        freed[#freed + 1] = limit[1]
      end
      redis.call('ZREM', key('line', limit[1]), job.id)
    end
    redis.call('SREM', key('parked', job.queue), job.id)
    if redis.call('SREM', key('pacing', job.queue), job.id) == 1 then
      redis.call('ZREM', key('later', job.queue), job.id)
    end
    redis.call('ZREM', key('ready', job.queue), job.id)
    redis.call('HDEL', key('job', job.id), 'gt', 'op')
    job.passed = 0
    return freed
  end

  -- The last by rank of those that are past a key and that nobody has claimed; among the last few only, so that a key with much
  -- room costs no more. Those that wait are mostly behind those that run.
  local LOOKED_AT = 16
  local function last_waiting(name)
    local ids = redis.call('ZREVRANGE', key('passed', name), 0, LOOKED_AT - 1)
    for _, id in ipairs(ids) do
      local job = read(id)
      if job and job.status == 'PENDING' then
        return job
      end
    end
    return nil
  end

  -- Lets the first in line pass, as far as there is room. Where somebody `has_come`, also in the place of a later one that nobody has
  -- claimed: what is urgent does not wait behind what is not.
  fill = function(name, has_come)
    local rule = rule_of(name)
    local first = redis.call('ZRANGE', key('line', name), 0, 0, 'WITHSCORES')
    while first[1] do
      local held = redis.call('ZCARD', key('passed', name))
      local job = read(first[1])
      if not job then
        redis.call('ZREM', key('line', name), first[1])
        if redis.call('TYPE', key('job', first[1])).ok == 'hash' then
          -- Damaged, or there is no queue to put it into. Somebody may mend that and retry it.
          redis.call('HSET', key('job', first[1]), 'st', 'FAILURE', 'fi', now_text)
          finish(first[1], 'FAILURE')
        end
      elseif held < rule.size then
        pass(job, name, math.max(now, rule.reach + (held - rule.size + 1) * rule.every))
      else
        local oldest = redis.call('ZRANGE', key('passed', name), 0, 0)[1]
        if oldest and redis.call('EXISTS', key('job', oldest)) == 0 then
          -- Somebody deleted its key by hand: it must not keep a slot for ever.
          redis.call('ZREM', key('passed', name), oldest)
        else
          local last = has_come and last_waiting(name)
          if not last or last.rank < job.rank or last.rank == job.rank and last.id <= job.id then
            return
          end
          local opens_at = tonumber(redis.call('HGET', key('job', last.id), 'op')) or now
          local freed = strip(last)
          pass(job, name, math.max(now, rule.every > 0 and opens_at or now))
          go_on(last)
          for _, other in ipairs(freed) do
            if other ~= name then
              fill(other)
            end
          end
        end
      end
      first = redis.call('ZRANGE', key('line', name), 0, 0, 'WITHSCORES')
    end
    rest(name, rule.reach)
  end

  -- Lets a job that is due try its limits, from the first on. Returns whether it has some.
  function g.enter(id)
    local job = read(id)
    if not job then
      return false
    end
    local freed = strip(job)
    for _, limit in ipairs(job.limits) do
      local gate = key('gate', limit[1])
      local said = redis.call('HGET', gate, 'said')
      if not said or said <= id then
        redis.call('HSET', gate, 'size', limit[2], 'every', string.format('%.0f', limit[3]), 'said', id)
      end
      redis.call('PERSIST', gate)
    end
    go_on(job)
    for _, name in ipairs(freed) do
      fill(name)
    end
    return true
  end

  -- Lets a job go on whose moment has come, or which was not due before.
  function g.wake(id, queue)
    if redis.call('SREM', key('pacing', queue), id) == 0 then
      return g.enter(id)
    end
    local job = read(id)
    if job then
      go_on(job)
    end
    return job ~= nil
  end

  -- Notes that a worker has taken a job: that is what rates count.
  function g.start(id)
    local job = read(id)
    for _, limit in ipairs(job and job.limits or {}) do
      if limit[3] > 0 and redis.call('ZREM', key('passed', limit[1]), id) == 1 then
        local reach = math.max(rule_of(limit[1]).reach, now) + limit[3]
        redis.call('HSET', key('gate', limit[1]), 'reach', string.format('%.0f', reach))
        fill(limit[1])
      end
    end
  end

  -- Takes back all that a job has: it has ended, is about to go, or waits for a later time.
  function g.leave(id)
    local job = read(id)
    if job then
      for _, name in ipairs(strip(job)) do
        fill(name)
      end
    end
  end

  return g
end

local function gates()
  made_gates = made_gates or make_gates()
  return made_gates
end

-- Puts a job where its state says that it lies, by its limits where it has some (`limits`, as stored); `co` is '1' for a
-- coroutine. Whoever sleeps is told.
local function settle_down(id, queue, status, priority, due, limits, co)
  if limits then
    if status == 'PENDING' and gates().enter(id) then
      return
    elseif status ~= 'PENDING' then
      gates().leave(id)
    end
  end
  place(id, queue, status, priority, due, co == '1')
end

-- Frees the once key of a job that has started or ended, as `till` says; `is_over`: it has ended. The key is remembered, for
-- whoever keeps it reserved.
local function free_key(id, once, till, is_over)
  if once and till and (is_over or till == 'started') then
    if redis.call('GET', key('once', once)) == id then
      redis.call('DEL', key('once', once))
    end
    redis.call('HDEL', key('job', id), 'once')
    redis.call('HSET', key('job', id), 'fk', once)
  end
end
