"""How files are read and written, whoever made them."""
