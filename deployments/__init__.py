"""Where FIRE runs: deployments, base job templates, images; no logic."""
