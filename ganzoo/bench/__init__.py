"""Many runs."""

from ganzoo.zoo.callable_module import make_callable

# The room has the name of a function of the library, and Python sets a package as an attribute of the one above it.
make_callable(__name__)
