"""`python -m genrestack` is the `genrestack` command."""

from genrestack.command import main

if __name__ == "__main__":
    main()
