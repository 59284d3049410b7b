-- Health of a Model for Argo CD; docs/gitops.md says how to install it.
-- A status that speaks of an older spec says nothing of this one.
local health = {status = "Progressing", message = "the operator has not seen this spec yet"}
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end

for _, condition in ipairs(status.conditions or {}) do
  if condition.observedGeneration == obj.metadata.generation and condition.status == "True" then
    if condition.type == "Stalled" then
      return {status = "Degraded", message = condition.message}
    elseif condition.type == "Ready" then
      return {status = "Healthy", message = condition.message}
    elseif condition.type == "Reconciling" then
      health.message = condition.message
    end
  end
end
return health
