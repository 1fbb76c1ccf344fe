-- Ends a worker's lease at once; what it holds is rescued by the next that looks. ARGV: worker.
if redis.call('EXISTS', key('held', ARGV[1])) == 1 then
  press_on()
  return redis.call('ZADD', base .. 'workers', 0, ARGV[1])
end
redis.call('DEL', key('worker', ARGV[1]), key('stop', ARGV[1]))
return redis.call('ZREM', base .. 'workers', ARGV[1])
