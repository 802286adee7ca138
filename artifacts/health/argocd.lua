-- Health of a VirtualServer for Argo CD: resource.customizations.health.tensorstack.dev_VirtualServer in argocd-cm.
-- A machine that is down because its spec says so is healthy; one that a person has stopped is suspended.
local function condition(kind)
  for _, c in ipairs((obj.status or {}).conditions or {}) do
    if c.type == kind then return c end
  end
  return {}
end

local function any(value, list)
  for _, known in ipairs(list) do
    if value == known then return true end
  end
  return false
end

local function health(status, message)
  return { status = status, message = message or "" }
end

local status = obj.status or {}
local phase, message = status.printableStatus, status.message
if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "It is being deleted.")
end
if phase == nil or status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "The controller has not looked at it yet.")
end
if phase == "Running" or phase == "Migrating" then
  return health("Healthy", message)
end
if phase == "Paused" then
  return health("Suspended", message)
end

local reconciled, imported, ready = condition("Reconciled"), condition("DataImported"), condition("Ready")
if reconciled.status == "False" and any(reconciled.reason, { "Refused", "Forbidden", "QuotaExceeded", "NotInstalled", "NameTaken" }) then
  return health("Degraded", reconciled.message)
end
if imported.status == "False" and any(imported.reason, { "StorageClassNotFound", "ClaimLost", "QuotaExceeded", "LimitExceeded", "PodRefused",
    "ImagePullFailed", "ImportError", "ImportFailed", "CloneSourceNotFound", "CloneRefused", "SecretNotFound", "ConfigMapNotFound" }) then
  return health("Degraded", imported.message)
end
if ready.status == "False" and any(ready.reason, { "ClaimNotFound", "SecretNotFound", "ConfigMapNotFound", "ServiceAccountNotFound",
    "HostDeviceNotPermitted", "QuotaExceeded", "LimitExceeded", "PodRefused" }) then
  return health("Degraded", ready.message)
end
if any(phase, { "CrashLoopBackOff", "FailedUnschedulable", "Unknown" }) then
  return health("Degraded", message)
end
if phase == "Stopped" then
  if condition("Failure").status == "True" then
    return health("Degraded", message)
  end
  if any(obj.spec.runStrategy, { "Halted", "Manual" }) then
    if imported.status == "True" or any(imported.reason, { "WaitForFirstConsumer", "PendingPopulation" }) then
      return health("Healthy", message)
    end
    return health("Progressing", message)
  end
  return health("Suspended", message)
end
return health("Progressing", message)
