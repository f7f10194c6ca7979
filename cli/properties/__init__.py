"""`fire properties`: measure, list, show and compare properties of models."""
