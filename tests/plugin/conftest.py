"""The package's own tests run where it is installed; see test_plugin.py."""

collect_ignore = ["checks"]
