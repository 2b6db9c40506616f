"""`python -m genrestack` is the `genrestack` command."""

from genrestack.cli.main import main

if __name__ == "__main__":
    main()
