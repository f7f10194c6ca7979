"""What is wrong with a set of labels, found before training on it."""
