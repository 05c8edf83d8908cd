"""Many runs. Called, it is `ganzoo.bench.api.bench`.

The room has the name of the library's function, and Python sets a package as an attribute of the one above it: so this
package can be called.
"""

from ganzoo.zoo.callable_module import make_callable

make_callable(__name__)
