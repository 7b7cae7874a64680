"""``python -m whyclip``: the command line."""

from whyclip.cli import main

if __name__ == "__main__":
    main()
