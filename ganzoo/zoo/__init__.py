"""Who is in the zoo: specs, plugins, names. Free of torch."""
