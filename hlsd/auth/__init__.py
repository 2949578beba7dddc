"""Who may play and publish."""
