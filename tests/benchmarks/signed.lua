-- Signed requests, made beforehand: one a line of the file WRK_SIGNED, "timestamp nonce signature".
local body = os.getenv("WRK_BODY")
local client = os.getenv("WRK_CLIENT")
local lines = io.lines(os.getenv("WRK_SIGNED"))

function request()
  local line = lines()
  if not line then
    error("all signed requests are used up")
  end
  local timestamp, nonce, signature = line:match("(%S+) (%S+) (%S+)")
  return wrk.format("POST", nil, {
    ["Content-Type"] = "application/json",
    ["X-Client-Id"] = client,
    ["X-Timestamp"] = timestamp,
    ["X-Nonce"] = nonce,
    ["X-Signature"] = signature,
  }, body)
end
