"""Campaign configuration: validated once, at the edge."""
