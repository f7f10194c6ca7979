"""The application: a campaign binds store, configuration and name."""
