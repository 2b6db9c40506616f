"""Protocol definitions of GenreStack, their generated code, and the tensor ⇄ bytes helpers."""
