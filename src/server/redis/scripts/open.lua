-- What there is of a room.
-- KEYS: ends, the stream, epochs. ARGV: room, an earlier epoch ('' for none).
-- Returns {EPOCH-SEQ BEGIN of its end or '', SEQ of the first text that is there or '', whether the
-- earlier epoch is known, where it ended, the epoch of the ends}.
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
local ends = redis.call('HMGET', KEYS[1], ARGV[1], ':epoch')
local reply = {ends[1] or '', first and first[2][2] or '', '0', '', ends[2] or ''}
if ARGV[2] ~= '' and redis.call('LPOS', KEYS[3], ARGV[2]) then
    reply[3] = '1'
    reply[4] = redis.call('HGET', KEYS[1] .. ':' .. ARGV[2], ARGV[1]) or ''
end
return reply
