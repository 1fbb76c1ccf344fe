-- Frees a reserved once key, or gives it to another. ARGV: once key, id, id of the other ('' for none). Returns whether it
-- stood for the first.
local name = base .. 'reserved:' .. ARGV[1]
if redis.call('GET', name) == ARGV[2] and ARGV[3] ~= '' then
  redis.call('SET', name, ARGV[3])
  return 1
end
if redis.call('GET', name) == ARGV[2] then
  return redis.call('DEL', name)
end
return 0
