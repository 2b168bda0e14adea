-- Appends the texts of one turn to a room's stream, as one entry whose ID is EPOCH-SEQ of the last.
-- KEYS: state, ends, the writer's record, the stream, the channel of the news.
-- ARGV: epoch, run, room, number, texts, lines, the SEQ up to where the writer has the room (-1: it
-- does not care), and the ID of the entry that had that.
-- Returns {'kept', SEQ of the first, time, total, what the writer does not have}, {'changed'} if
-- another epoch or run of Redis has begun, {'lost'} if something is not there that has been there,
-- {'used'} if the number was used for something later.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'run')
if state[1] ~= ARGV[1] or state[2] ~= ARGV[2] then
    return {'changed'}
end
local epoch, room, number = ARGV[1], ARGV[3], tonumber(ARGV[4])
local have = tonumber(ARGV[7])
local function missing(first)
    if have < 0 or have >= first - 1 then
        return {}
    end
    return redis.call('XRANGE', KEYS[4], '(' .. ARGV[8], string.format('%s-%.0f', epoch, first - 1), 'COUNT', 64)
end
local record = redis.call('HGET', KEYS[3], room)
if record then
    local done, first, time, total = string.match(record, '^(%d+) (%d+) (%d+) (%d+)$')
    if tonumber(done) == number then
        return {'kept', first, time, total, missing(tonumber(first))}
    elseif tonumber(done) > number then
        return {'used'}
    end
end
local seq, begin = 0, '0'
local tail = redis.call('HGET', KEYS[2], room)
local is_there = redis.call('EXISTS', KEYS[4]) == 1
if not tail and is_there then
    local info = redis.call('XINFO', 'STREAM', KEYS[4])
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            tail = info[i + 1] .. ' 0'
        end
    end
    is_there = false
end
if tail then
    local tail_epoch, tail_seq, tail_begin = string.match(tail, '^(%d+)-(%d+) (%d+)$')
    -- What is not there of an earlier epoch is known to be lost.
    if tail_epoch == epoch and not is_there then
        return {'lost'}
    end
    seq = tonumber(tail_seq)
    begin = tail_epoch == epoch and tail_begin or tail_seq
end
local first, last = string.format('%.0f', seq + 1), string.format('%.0f', seq + ARGV[5])
local now = redis.call('TIME')
local time = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
-- This is the first that may fail for want of memory: then nothing is written.
local total = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'total', ARGV[5]))
local id = epoch .. '-' .. last
redis.call('XADD', KEYS[4], id, 'first', first, 'time', time, 'total', total, 'lines', ARGV[6])
redis.call('HSET', KEYS[2], room, id .. ' ' .. begin)
redis.call('HSET', KEYS[3], room, string.format('%.0f %s %s %s', number, first, time, total))
redis.call('PUBLISH', KEYS[5], room .. ' ' .. last)
return {'kept', first, time, total, missing(tonumber(first))}
