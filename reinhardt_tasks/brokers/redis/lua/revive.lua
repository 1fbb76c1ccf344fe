-- Stores jobs that have ended and lie here no more, ready now.
-- ARGV: count, the jobs (see store), then four values for each: token, history ('' for none), when it first started (µs,
-- '' for never), log ('' for none). Returns the ids of those that are not here already.
local before = answered_before()
if before then
  return before
end
local count = tonumber(ARGV[1])
local refused = check_store(2, count)
if refused then
  return refused
end
local known, revived = store(2, count), {}
for number = 0, count - 1 do
  local at = 2 + count * JOB_WIDTH + number * 4
  local id = ARGV[2 + number * JOB_WIDTH]
  if known[number + 1] == '' then
    -- The token goes on: a worker that was late before is late still.
    redis.call('HSET', key('job', id), 'tk', ARGV[at])
    for offset, name in ipairs({'hs', 's1', 'lg'}) do
      if ARGV[at + offset] ~= '' then
        redis.call('HSET', key('job', id), name, ARGV[at + offset])
      end
    end
    revived[#revived + 1] = id
  end
end
return answered(revived, #revived > 0)
