-- The generic cell rate algorithm for several buckets at once, on the time of Redis, in microseconds.
--
-- KEYS: for each bucket the key with the instant when it will be full, and the key of its owner's ban.
-- ARGV: for each bucket how long one call takes to fill up again, how many calls fill it, and how many are wanted.
-- Answers for each bucket: calls granted, calls left, when it is full, when a call goes again, both from now, and how
-- many milliseconds a ban lasts. Either every bucket grants at least one call, or none grants any.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full, room, bans, refused = {}, {}, {}, false
for i = 1, #KEYS / 2 do
  local per, calls = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local kept = tonumber(redis.call('GET', KEYS[2 * i - 1]) or now) or now
  full[i] = math.min(math.max(kept, now), now + per * calls)
  room[i] = math.floor((now + per * calls - full[i]) / per)
  bans[i] = math.max(redis.call('PTTL', KEYS[2 * i]), 0)
  refused = refused or room[i] < 1 or bans[i] > 0
end
local answer = {}
for i = 1, #KEYS / 2 do
  local per, calls, wanted = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local granted = refused and 0 or math.min(wanted, room[i])
  if granted > 0 then
    full[i] = full[i] + granted * per
    local lives = math.ceil((full[i] - now) / 1000)
    redis.call('SET', KEYS[2 * i - 1], string.format('%.0f', full[i]), 'PX', math.max(lives, 1))
  end
  local again = room[i] < 1 and full[i] + per - per * calls - now or 0
  answer[#answer + 1] = { granted, room[i] - granted, full[i] - now, again, bans[i] }
end
return answer
