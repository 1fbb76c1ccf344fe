-- Storing jobs, and making ready what is due: put before every script, behind gates.lua.
-- Makes ready what is due in a queue.
local function promote(queue)
  for _, kind in ipairs({'later', 'retry'}) do
    local due = try('ZRANGEBYSCORE', key(kind, queue), '-inf', now, 'LIMIT', 0, 500) or {}
    for _, id in ipairs(due) do
      redis.call('ZREM', key(kind, queue), id)
      local job = try('HMGET', key('job', id), 'p', 'du', 'lm', 'co')
      if job and job[1] then
        redis.call('HSET', key('job', id), 'st', 'PENDING')
      end
      if job and job[1] and not (job[3] and gates().wake(id, queue)) then
        redis.call('ZADD', key('ready', queue), score(rank(tonumber(job[1]), tonumber(job[2])), job[4] == '1'), id)
      end
    end
  end
end

local JOB_WIDTH = 10

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

-- The rules at ARGV[at + 9], '' for none: {limits = a JSON text, till = when its once key is free, wait and most (µs) of a
-- debounced one, seal = what its arguments are signed for, co = '1' for a coroutine}.
local function rules_at(at)
  local text = ARGV[at + 9]
  return text and text ~= '' and cjson.decode(text) or nil
end

-- Lets the job that waits under `id` wait anew, with the arguments at ARGV[at].
local function put_off(id, at, rules, batch)
  local job = key('job', id)
  local fields = batch.jobs[id]
  if fields then
    -- It is to be written at the end, with the last value of a field.
    for _, value in ipairs({'a', ARGV[at + 4], 'sk', rules.seal}) do
      fields[#fields + 1] = value
    end
    return
  end
  local found = try('HMGET', job, 'st', 'q', 'p', 'en', 'lm', 'once', 'co')
  local status = found and found[1]
  if found and found[6] == ARGV[at + 7] and (status == 'PENDING' or status == 'SCHEDULED' or status == 'RETRY') then
    local due = now + rules.wait
    if rules.most then
      due = math.min(due, (tonumber(found[4]) or now) + rules.most)
    end
    redis.call('HSET', job, 'a', ARGV[at + 4], 'sk', rules.seal)
    if due > now or status ~= 'PENDING' then
      local text = string.format('%.0f', due)
      unplace(id, found[2], status)
      status = due > now and 'SCHEDULED' or 'PENDING'
      redis.call('HSET', job, 'st', status, 'du', text, 'ra', text)
      settle_down(id, found[2], status, tonumber(found[3]), due, found[5], found[7])
    end
  end
end

-- Adds a field of a job that not all jobs have.
local function add(fields, name, value)
  if value and value ~= '' then
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
end

-- The jobs at ARGV[first] and after, ten values each: id, name, queue, priority, payload, run_after, max_attempts,
-- once_key, metadata, rules ('' is none). `stamp` is the time at which they count as enqueued, now by default. Returns for each '',
-- or the id of the job that was there first and stands for it.
local function store(first, count, stamp)
  local answer, all, queues = {}, {}, {}
  -- `fresh`: kind -> queue -> how many are ready there.
  local lines, fresh, soonest, limited = {}, {[false] = {}, [true] = {}}, {}, {}
  local batch = {jobs = {}, onces = {}}
  local stamped = stamp and string.format('%.0f', stamp) or now_text
  for number = 0, count - 1 do
    local at = first + number * JOB_WIDTH
    local id, queue, run_after, once = ARGV[at], ARGV[at + 2], ARGV[at + 5], ARGV[at + 7]
    local known, rules = first_of(at, batch), rules_at(at)
    if known and rules and rules.wait then
      put_off(known, at, rules, batch)
    end
    if not known then
      if rules and rules.wait then
        run_after = string.format('%.0f', (stamp or now) + math.min(rules.wait, rules.most or rules.wait))
      end
      local status, due, due_text = 'PENDING', stamp or now, stamped
      if run_after ~= '' then
        due, due_text = tonumber(run_after), run_after
        status = due > now and 'SCHEDULED' or 'PENDING'
      end
      local is_async = rules and rules.co == '1' or false
      local line, its_score
      if rules and rules.limits and status == 'PENDING' then
        limited[#limited + 1] =
          {id = id, queue = queue, priority = tonumber(ARGV[at + 3]), due = due, is_async = is_async}
      elseif status == 'PENDING' then
        line, its_score = key('ready', queue), score(rank(tonumber(ARGV[at + 3]), due), is_async)
        fresh[is_async][queue] = (fresh[is_async][queue] or 0) + 1
      else
        line, its_score = key('later', queue), due_text
        soonest[queue] = math.min(soonest[queue] or due, due)
      end
      if line then
        local members = part(lines, line)
        members[#members + 1] = its_score
        members[#members + 1] = id
      end
      local fields = {'n', ARGV[at + 1], 'q', queue, 'p', ARGV[at + 3], 'a', ARGV[at + 4], 'st', status,
                      'en', stamped, 'du', due_text}
      add(fields, 'ra', run_after)
      add(fields, 'mx', ARGV[at + 6])
      add(fields, 'once', once)
      add(fields, 'md', ARGV[at + 8])
      if rules then
        add(fields, 'lm', rules.limits)
        add(fields, 'un', rules.till)
        add(fields, 'sk', rules.seal)
        add(fields, 'co', rules.co)
      end
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
      -- It is due before everything that sleepers know of, and they nap until the first is due, whatever its kind.
      for _, numbers in pairs(fresh) do
        numbers[queue] = numbers[queue] or 1
      end
    end
  end
  for is_async, numbers in pairs(fresh) do
    for queue, ready in pairs(numbers) do
      ring(queue, ready, is_async)
    end
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
  for _, job in ipairs(limited) do
    if not gates().enter(job.id) then
      -- Its limits cannot be read: it goes without, rather than lie nowhere.
      place(job.id, job.queue, 'PENDING', job.priority, job.due, job.is_async)
    end
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
