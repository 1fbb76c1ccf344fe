-- Deletes jobs that do not run. ARGV: ids. Returns the ids for which that took effect, and the once keys that are free
-- again, with their ids.
local before = answered_before()
if before then
  return before
end
local done, freed = {}, {}
for _, id in ipairs(ARGV) do
  local found = try('HMGET', key('job', id), 'st', 'q', 'lm')
  if found and found[1] and found[1] ~= 'RUNNING' then
    unplace(id, found[2], found[1])
    if found[3] then
      gates().leave(id)
    end
    local once = forget(id)
    if once then
      freed[#freed + 1] = once
      freed[#freed + 1] = id
    end
    done[#done + 1] = id
  end
end
return answered({done, freed}, #done > 0)
