"""Questions of people who look at a store: a page at a time, whatever its size."""
