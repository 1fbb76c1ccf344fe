-- Stores jobs, all or none.
-- ARGV: time at which they count as enqueued (µs; '': now), count, then the jobs (see store). Returns the time, and for
-- each job '', or the id of the first job, which stands for it.
local stamp, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local refused = check_store(3, count)
if refused then
  return refused
end
return {string.format('%.0f', stamp or now), store(3, count, stamp)}
