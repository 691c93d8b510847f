-- For wrk: with an argument the requests are uploads of that many bytes; the figures are written as one line of JSON at the end of the output.
-- Neither request() nor response() is defined here: either would cost time on each request.
function init(args)
  if args[1] then
    wrk.method = "POST"
    wrk.body = string.rep("u", tonumber(args[1]))
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "bytes": %d, "p50": %.3f, "p99": %.3f, "p99.9": %.3f, ' ..
    '"errors": {"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}}\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3,
    e.connect, e.read, e.write, e.timeout, e.status))
end
