"""Names what an ASGI endpoint may ask of the connection under a request whose body goes on for hours.

`scope[LASTING]`, where it is there, is a function without arguments: from then on the request's body has no deadline of
the kind that is meant for a page's or the API's, and whoever asked has one of its own. HTTP/2 opens the stream's window
as well, since what a client may send in a round trip is all that it opens.
"""

from __future__ import annotations

from typing import Final

LASTING: Final = "hlsd.lasting"
