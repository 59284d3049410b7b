-- wrk: post the bodies of the file $BODIES in turn. Each stands behind its length in four bytes, the
-- lowest first; before them, in the same way, the header lines that go with every one.
local requests, next_one = {}, 0

local function chunks(path)
  local file = assert(io.open(path, "rb"))
  return function()
    local length = file:read(4)
    if not length then
      return file:close() and nil
    end
    local a, b, c, d = length:byte(1, 4)
    return file:read(a + 256 * (b + 256 * (c + 256 * d)))
  end
end

function init()
  local following = chunks(os.getenv("BODIES"))
  local headers = {}
  for name, value in following():gmatch("([^:\n]+): ([^\n]*)\n") do
    headers[name] = value
  end
  for body in following do
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  next_one = next_one % #requests + 1
  return requests[next_one]
end
