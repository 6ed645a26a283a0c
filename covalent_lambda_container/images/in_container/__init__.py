"""Programs that run inside a root image, with only its Python and the standard library."""
