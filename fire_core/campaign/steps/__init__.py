"""The steps of a campaign: what each reads from the store, does, and writes back."""
