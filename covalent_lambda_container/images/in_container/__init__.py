"""Programs that run inside a root image, on its Python and the standard library alone."""
