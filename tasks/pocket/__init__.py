"""The pocket world: fictional facts and small skills, and the models trained on them."""
