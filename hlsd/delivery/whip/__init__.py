"""Is WHIP (RFC 9725) as HTTP sees it: offers in, answers out; media goes elsewhere."""
