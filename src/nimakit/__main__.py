"""`python -m nimakit`: the command line."""

from nimakit.cli import main

if __name__ == "__main__":
    main()
