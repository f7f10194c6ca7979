"""What a model does not know: spread, its calibration, trust, what more labels buy."""
