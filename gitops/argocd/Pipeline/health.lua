-- Health of a Pipeline for Argo CD; docs/gitops.md says how to install it.
-- A status that speaks of an older spec says nothing of this one.
local health = {status = "Progressing", message = "the operator has not seen this spec yet"}
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.observedGeneration == obj.metadata.generation then
    conditions[condition.type] = condition
  end
end

local ready = conditions.Ready
if ready == nil then
  return health
end
health.message = ready.message

local function is(type)
  return conditions[type] ~= nil and conditions[type].status == "True"
end

if is("Stalled") then
  health.status = "Degraded"
  health.message = conditions.Stalled.message
elseif is("Reconciling") then
  health.message = conditions.Reconciling.message
elseif ready.status == "True" then
  local canary = conditions.CanaryHealthy
  if canary ~= nil and canary.reason == "AwaitingPromotion" then
    health.status = "Suspended"
    health.message = canary.message
  else
    health.status = "Healthy"
  end
elseif ready.reason == "Suspended" or ready.reason == "ScaledToZero" then
  health.status = "Suspended"
end
return health
