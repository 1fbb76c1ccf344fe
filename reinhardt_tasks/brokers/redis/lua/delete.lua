-- Deletes jobs that do not run. ARGV: ids. Returns the ids for which that took effect.
local done = {}
for _, id in ipairs(ARGV) do
  local found = try('HMGET', key('job', id), 'st', 'q', 'lm')
  if found and found[1] and found[1] ~= 'RUNNING' then
    unplace(id, found[2], found[1])
    if found[3] then
      gates().leave(id)
    end
    forget(id)
    done[#done + 1] = id
  end
end
return done
