"""The science of FIRE: imports no orchestrator and can be used alone."""
