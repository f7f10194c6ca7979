"""The steps as Prefect tasks: build, call, return; one file a step."""
