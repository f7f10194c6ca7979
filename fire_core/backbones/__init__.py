"""Foundation models behind one Protocol."""
