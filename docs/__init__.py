"""The documentation: its pages, and in `tools` programs that write and check them."""
