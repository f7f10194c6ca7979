"""The pages: each reads the store and fills a template."""
