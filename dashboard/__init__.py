"""Where people look: pages and an API over the store, and what may be decided there."""
