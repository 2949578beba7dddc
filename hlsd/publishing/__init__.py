"""Turns files, addresses and a test picture into a publisher's frames, in processes of their own."""
