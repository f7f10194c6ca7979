"""The SQL structure database and its content-addressed blobs."""
