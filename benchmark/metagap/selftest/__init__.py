"""Whether metagap's own claims hold, tried on made-up results whose truth is known."""
