"""What a lab wants of a model: transport, impedance, mechanics, structure, speed."""
