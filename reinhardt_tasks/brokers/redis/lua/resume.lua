-- Lets a queue be claimed from again. ARGV: queue.
redis.call('SREM', base .. 'paused', ARGV[1])
ring(ARGV[1], 16, false)
ring(ARGV[1], 16, true)
return 1
