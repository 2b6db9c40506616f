"""How work grows with what there is to do: fits with their table, requests with what is sent."""
