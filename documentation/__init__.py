"""The documentation's tools: pages that are generated, checked and followed."""
