-- Stores jobs, all or none.
-- ARGV: time at which they count as enqueued (µs; '': now), count, then the jobs (see store). Returns the time, and for
-- each job '', or the id of the first job, which stands for it.
local stamp, count = tonumber(ARGV[1]), tonumber(ARGV[2])
-- One job's first write tells whether its queue is sound, without asking before.
local refused = count > 1 and check_store(3, count)
if refused then
  return refused
end
local is_stored, answer = pcall(store, 3, count, stamp)
if not is_stored then
  -- Redis before 7 raises a text, later ones a table.
  return check_store(3, count) or redis.error_reply(type(answer) == 'table' and answer.err or answer)
end
return {string.format('%.0f', stamp or now), answer}
