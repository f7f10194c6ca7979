"""Programs of the documentation: they generate, check and follow its pages."""
