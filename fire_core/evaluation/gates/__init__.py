"""Gates that a model passes before it is promoted: pure functions, one verdict each."""
