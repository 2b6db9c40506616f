"""What the paths take and answer: OpenAPI, and a page for people."""
