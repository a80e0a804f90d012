-- Sends each request with the next cookie of a list, and prints the results as one line of JSON.
--
-- Arguments: a file with one value of the `Cookie` field per line. If it is empty, no cookie is sent.

local threads, requests = {}, {}
sent = 0

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  for cookie in io.lines(arguments[1]) do
    -- Formatted once, here: what `request` costs is taken from the generator's core.
    table.insert(requests, wrk.format(nil, nil, { Host = wrk.headers["Host"], Cookie = cookie }))
  end
  if #requests == 0 then
    requests[1] = wrk.format()
  end
end

function request()
  local next = requests[sent % #requests + 1]
  sent = sent + 1
  return next
end

function done(summary, latency)
  local total = 0
  for _, thread in ipairs(threads) do
    total = total + thread:get("sent")
  end
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"sent":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}\n',
    summary.requests, total, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
