"""Who may play and who may publish: addresses, signatures, tokens, keys, the operator's back end."""
