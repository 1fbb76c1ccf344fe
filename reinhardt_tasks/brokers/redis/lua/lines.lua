-- The lines before full limits, for people. ARGV: a job's id ('' for all lines), parked jobs of each queue that are looked at.
-- Returns lists of {key, size, every, reach, now, number past it, number in line}.
local asked, most = ARGV[1], tonumber(ARGV[2])
local names, seen = {}, {}
local function note(name)
  if name and not seen[name] then
    seen[name] = true
    names[#names + 1] = name
  end
end

-- Notes the key before which a job stands, or the one that lets it pass later.
local function look(id)
  local found = try('HMGET', key('job', id), 'lm', 'gt', 'q')
  if not found or not found[1] then
    return
  end
  local limits = limits_in(found[1])
  if not limits then
    return
  end
  local passed, queue = tonumber(found[2]) or 0, found[3]
  local next_one, last = limits[passed + 1], limits[passed]
  if next_one and try('ZSCORE', key('line', next_one[1]), id) then
    note(next_one[1])
  elseif asked ~= '' and last and try('SISMEMBER', key('pacing', queue), id) == 1 then
    note(last[1])
  end
end

if asked ~= '' then
  look(asked)
else
  for _, queue in ipairs(redis.call('SMEMBERS', base .. 'queues')) do
    for _, id in ipairs(try('SRANDMEMBER', key('parked', queue), most) or {}) do
      look(id)
    end
  end
end
local answer = {}
for _, name in ipairs(names) do
  local rule = try('HMGET', key('gate', name), 'size', 'every', 'reach') or {}
  answer[#answer + 1] = {
    name,
    rule[1] or '0',
    rule[2] or '0',
    rule[3] or '0',
    now_text,
    try('ZCARD', key('passed', name)) or 0,
    try('ZCARD', key('line', name)) or 0,
  }
end
return answer
