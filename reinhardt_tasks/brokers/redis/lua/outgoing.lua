-- Followers that belong to other shards. ARGV: those that have arrived there, as they were given. Returns the next ones.
-- By value, not by number: several workers may be passing on the same ones.
for _, text in ipairs(ARGV) do
  redis.call('LREM', base .. 'outgoing', 1, text)
end
return redis.call('LRANGE', base .. 'outgoing', 0, 99)
