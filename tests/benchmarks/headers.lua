-- Every request with the header and the body that the environment names.
wrk.headers["Authorization"] = os.getenv("WRK_AUTHORIZATION")
local body = os.getenv("WRK_BODY")
if body then
  wrk.method = "POST"
  wrk.body = body
  wrk.headers["Content-Type"] = "application/json"
end
